"""How the scores that are computed here see a text: as lower-case words, without punctuation.

Not the Penn Treebank tokens of the COCO tools: values are comparable with each other, not with published tables. It
knows text, not scores.
"""

from __future__ import annotations

import re
from collections import Counter

_WORD = re.compile(r"\w+(?:['\u2019]\w+)*")

Ngram = tuple[str, ...]


def words(text: str) -> list[str]:
    """The words of a text, lower-case; a word keeps its inner apostrophes."""
    return _WORD.findall(text.lower())


def ngrams(tokens: list[str], order: int) -> Counter[Ngram]:
    """How often each run of `order` words occurs."""
    return Counter(tuple(tokens[at : at + order]) for at in range(len(tokens) - order + 1))
