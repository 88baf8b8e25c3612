"""One's own tokenizer: every text comes back, the same texts make the same one, and it saves and loads."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from vlbm.errors import ConfigError
from vlbm.tokenizer import train_tokenizer

TEXTS = ["She saw the bat, the animal.", "She saw the bat, the club.", "Ein großer Kran."] * 3
TOKENIZER = train_tokenizer(TEXTS, vocab_size=300)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_text_comes_back(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER(text)["input_ids"]) == text


def test_it_is_what_its_texts_make_it(tmp_path: Path) -> None:
    again = train_tokenizer(iter(TEXTS), vocab_size=300)
    assert again.get_vocab() == TOKENIZER.get_vocab()
    assert len(TOKENIZER("She saw the bat")["input_ids"]) < len("She saw the bat")
    TOKENIZER.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded(TEXTS[0])["input_ids"] == TOKENIZER(TEXTS[0])["input_ids"]
    assert loaded.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>", "<|pad|>"]) == [0, 1, 2]
    assert (loaded.eos_token_id, loaded.pad_token_id, loaded.padding_side) == (1, 2, "left")


def test_a_vocabulary_too_small_is_said() -> None:
    with pytest.raises(ConfigError, match="at least 259, got 100"):
        train_tokenizer(TEXTS, vocab_size=100)
