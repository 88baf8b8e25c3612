"""The recurrent language model does what transformers expects of a causal language model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.vlbm.conftest import aligned
from vlbm.errors import ConfigError
from vlbm.language import decoder_layers
from vlbm.recurrent.config import CELLS, RecurrentConfig
from vlbm.recurrent.model import RecurrentForCausalLM

EVERY_CELL = pytest.mark.parametrize("cell", CELLS)
IDS = torch.tensor([[5, 6, 7, 8, 9, 10]])


def make(cell: str) -> Any:
    torch.manual_seed(0)
    config = RecurrentConfig(cell=cell, vocab_size=40, hidden_size=32, num_hidden_layers=2, dropout=0.0)
    model = RecurrentForCausalLM(config)
    return model.eval()  # type: ignore[no-untyped-call]


@EVERY_CELL
@torch.inference_mode()
def test_reading_in_pieces_is_reading_at_once(cell: str) -> None:
    model = make(cell)
    whole = model(input_ids=IDS).logits
    cache, pieces = None, []
    for piece in (IDS[:, :3], IDS[:, 3:4], IDS[:, 4:]):
        out = model(input_ids=piece, past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        pieces.append(out.logits)
    assert cache is not None
    assert cache.get_seq_length() == 6
    assert torch.allclose(torch.cat(pieces, dim=1), whole, atol=1e-6)
    assert torch.allclose(model(input_ids=IDS, logits_to_keep=1).logits, whole[:, -1:], atol=1e-6)
    assert model(input_ids=IDS, use_cache=False).past_key_values is None


@EVERY_CELL
@torch.inference_mode()
def test_padding_on_either_side_changes_nothing(cell: str) -> None:
    model = make(cell)
    padded = torch.tensor([[2, 2, 5, 6, 7], [8, 9, 10, 11, 12], [5, 6, 7, 2, 2]])
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    out = model(input_ids=padded, attention_mask=mask, use_cache=True)
    alone = model(input_ids=IDS[:, :3]).logits[0]
    assert torch.allclose(out.logits[0, 2:], alone, atol=1e-6)
    assert torch.allclose(out.logits[2, :3], alone, atol=1e-6)
    step = torch.tensor([[8], [8], [8]])
    after = torch.cat([mask, torch.tensor([[1], [1], [0]])], dim=1)
    more = model(input_ids=step, attention_mask=after, past_key_values=out.past_key_values, use_cache=True)
    assert torch.allclose(more.logits[0, 0], model(input_ids=IDS[:, :4]).logits[0, -1], atol=1e-6)
    again = model(input_ids=step, past_key_values=more.past_key_values, use_cache=True).logits
    assert torch.allclose(again[2, 0], model(input_ids=IDS[:, :4]).logits[0, -1], atol=1e-6)


@EVERY_CELL
def test_it_learns_and_says_eight_texts(cell: str) -> None:
    model = make(cell)
    texts = torch.stack([torch.tensor([10 + n, 20 + n, 30 - n, 5 + n, 1]) for n in range(8)])
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(80):
        loss = model(input_ids=texts, labels=texts).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    prompt = texts[:, :1]
    options = {"max_new_tokens": 4, "attention_mask": torch.ones_like(prompt)}
    assert torch.equal(model.generate(input_ids=prompt, do_sample=False, **options), texts)
    assert torch.equal(model.generate(input_ids=prompt, do_sample=False, use_cache=False, **options), texts)
    assert torch.equal(model.generate(input_ids=prompt, num_beams=3, do_sample=False, **options), texts)


@EVERY_CELL
@torch.inference_mode()
def test_saved_and_loaded_it_is_the_same(cell: str, tmp_path: Path) -> None:
    model = make(cell)
    model.save_pretrained(tmp_path)
    loaded: Any = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert type(loaded) is RecurrentForCausalLM
    assert torch.allclose(loaded(input_ids=IDS).logits, model(input_ids=IDS).logits, atol=1e-5)
    assert torch.equal(aligned(loaded)(input_ids=IDS).logits, model(input_ids=IDS).logits)


def test_layers_are_found_and_cells_are_named() -> None:
    assert len(decoder_layers(make("gru"))) == 2
    with pytest.raises(ConfigError, match=r"'elman'.*gru.*lstm"):
        RecurrentConfig(cell="elman")
