"""The loss of answers is transformers' own, with and without a beginning that is read once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

import vlbm
from tests.vlbm.test_fit import fresh, rows
from vlbm.training.answers import answer_loss
from vlbm.training.encoded import collate
from vlbm.training.prefix import Prefixes


@pytest.mark.parametrize("kind", ["gpt2", "llama", "gru"])
def test_it_is_the_loss_of_the_model(kind: str) -> None:
    model, processor = fresh()
    examples = rows(model, processor, 4)
    if kind != "gpt2":
        sizes = vlbm.Sizes(vocabulary=300, layers=2, width=32, heads=2, context=96)
        model, _ = vlbm.build(
            vlbm.language_config(kind, sizes),
            tokenizer=processor.tokenizer,
            encoder="resnet18",
            encoder_weights="random",
        )
    batch = collate(examples)
    with torch.no_grad():
        wanted = model(**batch, use_cache=False).loss
        found = answer_loss(model, model.get_output_embeddings(), batch)
        whole = model(**{**batch, "labels": None}, use_cache=False).logits
    assert torch.allclose(found, wanted, atol=1e-5)
    assert whole.shape[1] == batch["input_ids"].shape[1]  # the hook is gone


def test_a_beginning_that_is_read_once_changes_nothing() -> None:
    model, processor = fresh()
    examples = [row for row in rows(model, processor, 6) if row.visuals]
    beginning = (5, 6, 7, 8)
    whole = [_after(beginning, row) for row in examples]
    with torch.no_grad():
        for layer in model.fusions:
            layer.alpha.fill_(0.5)
        wanted = answer_loss(model, model.get_output_embeddings(), collate(whole))
        batch = Prefixes(model, [(), beginning]).before(1, collate(examples))
        found = answer_loss(model, model.get_output_embeddings(), batch)
    assert torch.allclose(found, wanted, atol=1e-5)
    assert Prefixes(model, [()]).before(0, batch) is batch


def _after(beginning: tuple[int, ...], row: Any) -> Any:
    return replace(row, prompt=(*beginning, *row.prompt), fusion_from=row.fusion_from + len(beginning))
