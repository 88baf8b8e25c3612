"""Frozen lower layers are computed once, and the training is the same as if they had not been."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import vlbm
from tests.vlbm.test_build import LANGUAGE_MODELS, TOKENIZER
from tests.vlbm.test_fit import PLAN, rows
from vlbm.training.fit import Fit
from vlbm.training.lower import LowerLayers

FROZEN = replace(PLAN, trained="fusion")


def fresh(name: str, **options: Any) -> tuple[Any, Any]:
    torch.manual_seed(0)
    return vlbm.build(
        LANGUAGE_MODELS[name],
        tokenizer=TOKENIZER,
        encoder="resnet18",
        encoder_weights="random",
        fusion_heads=2,
        fusion_head_width=8,
        **options,
    )


def trained(name: str, folder: Path, **changes: Any) -> tuple[dict[str, torch.Tensor], Fit]:
    model, processor = fresh(name)
    examples = rows(model, processor)
    fit = Fit(model, train=examples, held_out=examples[:3], plan=replace(FROZEN, **changes), folder=folder)
    fit.run()
    return {key: p.detach().clone() for key, p in model.named_parameters()}, fit


@pytest.mark.parametrize("name", ["gpt2", "llama", "gru", "bloom", "opt"])
def test_kept_or_not_the_weights_are_the_same(name: str, tmp_path: Path) -> None:
    kept, fit = trained(name, tmp_path / "kept")
    plain, other = trained(name, tmp_path / "plain", lower_cache_gb=0.0)
    assert fit.lower
    assert other.lower
    assert len(fit.lower.kept) > 3
    assert not other.lower.kept
    assert all(torch.equal(value, plain[key]) for key, value in kept.items())


@pytest.mark.parametrize("name", ["gpt2", "llama", "gru", "bloom"])
def test_a_forward_that_begins_above_is_the_whole_one(name: str) -> None:
    from vlbm.training.encoded import collate

    model, processor = fresh(name)
    with torch.no_grad():
        for parameter in model.fusions.parameters():
            parameter.add_(0.1)
    examples = rows(model, processor, 4)
    whole = model(**collate(examples), use_cache=False)
    lower = LowerLayers(model, limit=10**9)
    states = lower.states(range(4), examples)
    with lower.begun(states):
        above = model(**collate(examples), use_cache=False)
    assert torch.allclose(above.logits[0, :4], whole.logits[0, :4], atol=1e-5)
    assert float(above.loss.detach()) == pytest.approx(float(whole.loss.detach()), abs=1e-5)
    assert torch.allclose(model(**collate(examples), use_cache=False).logits, whole.logits)  # as before


def test_the_limit_is_kept(tmp_path: Path) -> None:
    model, processor = fresh("gpt2")
    examples = rows(model, processor, 4)
    one = (len(examples[0].prompt) + len(examples[0].target)) * 32 * 4
    lower = LowerLayers(model, limit=2 * one)
    lower.states(range(4), examples)
    assert len(lower.kept) == 2
    assert lower.bytes <= 2 * one


def test_where_the_language_model_learns_or_the_prompt_is_fused_nothing_is_kept(tmp_path: Path) -> None:
    model, processor = fresh("gpt2")
    examples = rows(model, processor)
    assert Fit(model, train=examples, held_out=examples[:3], plan=PLAN, folder=tmp_path).lower is None
    model, processor = fresh("gpt2", fusion="prefix")
    examples = rows(model, processor)
    fit = Fit(model, train=examples, held_out=examples[:3], plan=FROZEN, folder=tmp_path)
    assert fit.lower is None
    assert len(fit.run()) == 2
