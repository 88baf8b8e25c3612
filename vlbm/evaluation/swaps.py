"""Which wrong picture a question is shown: a derangement, so that right and wrong pictures are the same ones.

It knows examples and hashes, not models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vlbm.data.records import Example
from vlbm.errors import EvaluationError


def deranged(keys: Sequence[str], seed: int) -> list[int]:
    """For each place another one with another key; every place is given once.

    Places are ordered by key, at random inside a key, and each takes the one as far on as the most frequent key is
    frequent: no key reaches itself.

    Raises:
        EvaluationError: one key has more than half of the places, so there is no such order.
    """
    key, most = Counter(keys).most_common(1)[0]
    if 2 * most > len(keys):
        raise EvaluationError(f"{most} of {len(keys)} questions show the same ({key[:40]}): nothing to swap with")
    random = np.random.default_rng(seed)
    ranks = {str(name): rank for rank, name in enumerate(random.permutation(sorted(set(keys))))}
    order = sorted(random.permutation(len(keys)).tolist(), key=lambda place: ranks[keys[place]])
    given = dict(zip(order, [*order[most:], *order[:most]], strict=True))
    return [given[place] for place in range(len(keys))]


def shown(example: Example, digests: Mapping[Path, str]) -> str:
    """What an example shows: its concept, else its pictures by content."""
    return (example.concept or "").casefold() or " ".join(digests[path] for path in example.pictures)


def other_pictures(examples: Sequence[Example], digests: Mapping[Path, str], seed: int) -> list[tuple[Path, ...]]:
    """For each example the pictures of one that shows something else.

    Raises:
        EvaluationError: more than half show the same.
    """
    order = deranged([shown(example, digests) for example in examples], seed)
    return [examples[place].pictures for place in order]


def other_meanings(examples: Sequence[Example]) -> list[tuple[Path, ...] | None]:
    """For each contrast the pictures of its counterpart, whose right answer is this one's wrong; None without one.

    Where several examples share a meaning, their pictures are given in turn.
    """
    places: dict[tuple[str, str, str], list[int]] = {}
    for place, example in enumerate(examples):
        places.setdefault((example.text, example.language, example.target), []).append(place)
    turns, found = Counter[tuple[str, str, str]](), list[tuple[Path, ...] | None]()
    for example in examples:
        meaning = (example.text, example.language, example.wrong or "")
        counterparts = places.get(meaning, [])
        found.append(examples[counterparts[turns[meaning] % len(counterparts)]].pictures if counterparts else None)
        turns[meaning] += 1
    return found
