"""Leaks between splits: the same picture, or the same concept, in two of them. It knows examples, not models."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path

from vlbm.data.records import Example
from vlbm.errors import DataError

SHOWN = 3


def check_splits(splits: Mapping[str, Iterable[Example]], *, concepts: bool = True) -> None:
    """Refuse splits that share a picture (by SHA-256 of its bytes) or a concept (case aside).

    Args:
        splits: examples by the split's name.
        concepts: compare concepts as well; off where known concepts in new pictures are what is measured.

    Raises:
        DataError: two splits share something; the message names them and the first leaks.
    """
    kept = {name: tuple(examples) for name, examples in splits.items()}
    hashes: dict[Path, str] = {}
    pictures = {name: _pictures(examples, hashes) for name, examples in kept.items()}
    named = {name: {e.concept.casefold() for e in examples if e.concept} for name, examples in kept.items()}
    for one, other in combinations(kept, 2):
        same = sorted(pictures[one].keys() & pictures[other].keys())
        if same:
            shown = [f"{pictures[one][key]} = {pictures[other][key]}" for key in same[:SHOWN]]
            raise DataError(
                f"{one} and {other} share {len(same)} pictures, as {'; '.join(shown)}: keep each in one split"
            )
        both = sorted(named[one] & named[other]) if concepts else []
        if both:
            raise DataError(
                f"{one} and {other} share {len(both)} concepts, as {', '.join(both[:SHOWN])}: keep each in one split"
            )


def _pictures(examples: Iterable[Example], hashes: dict[Path, str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in (path for example in examples for path in example.pictures):
        if path not in hashes:
            hashes[path] = hashlib.sha256(path.read_bytes()).hexdigest()
        found.setdefault(hashes[path], path)
    return found
