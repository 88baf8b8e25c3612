"""How sure an answer is of what it says: the confidence of the surest name in it that the evidence has.

"I cannot tell" says no name, however sure the evidence is of one. It knows words, not how the answer was made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from vlbm.data.english import plural, without_article
from vlbm.evidence.runs import ALIAS, KIND, NAMES, Evidence


def confidence(evidence: Evidence, tokenizer: Any, answer: str) -> float:
    """Of an answer, from 0 to 1; 0 where it says nothing that was seen.

    Args:
        evidence: of the pictures that the answer is about, as a batch of one.
        tokenizer: of its tokens.
        answer: its text.
    """
    text = f" {_plain(answer)} "
    said = (sure for forms, sure in _names(evidence, tokenizer) if any(f" {form} " in text for form in forms))
    return max(said, default=0.0)


def _names(evidence: Evidence, tokenizer: Any) -> Iterator[tuple[tuple[str, ...], float]]:
    """The forms of each name, other name of a thing, caption and kind, and how sure it is."""
    rows = (evidence.tokens[0], evidence.kind[0], evidence.ends[0], evidence.mask[0], evidence.confidence[0])
    tokens = list[int]()
    for token, kind, ends, there, sure in zip(*(row.tolist() for row in rows), strict=True):
        if not there or kind not in (*NAMES, KIND, ALIAS):
            continue
        if not ends:
            tokens.append(token)
            if kind != ALIAS:  # which is one token, without an end
                continue
        name = without_article(_plain(tokenizer.decode(tokens)))
        tokens.clear()
        if name:
            yield (name, plural(name)), sure


def _plain(text: str) -> str:
    """Words alone, in lower case."""
    return re.sub(r"\W+", " ", text.lower()).strip()
