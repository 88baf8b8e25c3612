"""Decoding piece by piece gives the whole, whatever characters it is made of."""

from __future__ import annotations

from typing import Any

import pytest

from vlbm.engine.text import Detokenizer

TEXTS = (
    "plain words, and more.",
    "naïve café, 9 €",
    "日本語のテキスト",
    "family 👩‍👩‍👧‍👦 and a flag 🇪🇺!",
    "  spaces   and\n\nlines\t.",
    "mixed ключ مفتاح κλειδί",
)


def pieces(tokenizer: Any, text: str, stop: tuple[str, ...] = ()) -> list[str]:
    detokenizer = Detokenizer(tokenizer, stop)
    out = []
    for token in tokenizer(text, add_special_tokens=False)["input_ids"]:
        out.append(detokenizer.push(token))
        if detokenizer.stopped:
            break
    return [*out, detokenizer.finish()]


@pytest.mark.parametrize("text", TEXTS)
def test_pieces_join_to_the_whole(processor: Any, text: str) -> None:
    made = pieces(processor.tokenizer, text)
    assert "".join(made) == text
    assert not any("\N{REPLACEMENT CHARACTER}" in piece for piece in made)


def test_an_incomplete_character_at_the_end_is_not_lost_silently(processor: Any) -> None:
    ids = processor.tokenizer("日本語", add_special_tokens=False)["input_ids"]
    detokenizer = Detokenizer(processor.tokenizer)
    made = "".join(detokenizer.push(token) for token in ids[:-1]) + detokenizer.finish()
    assert made == processor.tokenizer.decode(ids[:-1])


def test_a_stop_string_over_several_tokens_is_cut(processor: Any) -> None:
    made = pieces(processor.tokenizer, "one two END of it", ("END of",))
    assert "".join(made) == "one two "


def test_what_only_looked_like_a_stop_string_is_kept(processor: Any) -> None:
    made = pieces(processor.tokenizer, "one two END over", ("END of",))
    assert "".join(made) == "one two END over"
