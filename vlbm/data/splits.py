"""Which split a concept belongs to, and leaks between splits: the same picture, or the same concept, in two of them.

It knows examples, not models.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path

from vlbm.data.records import Example
from vlbm.errors import DataError

SHOWN = 3
TRAIN, CONCEPTS, RENDERINGS = "train", "held_out_concepts", "held_out_renderings"
SPLITS = (TRAIN, CONCEPTS, RENDERINGS)
# One concept in ten is held out. A name's digest never changes, so neither does its split.
HELD_OUT = 10
_PLURALS = ((r"ies$", "y"), (r"(ss|sh|ch|x)es$", r"\1"), (r"(?<![sui])s$", ""))


def concept_key(concept: str) -> str:
    """What two names of one concept share: no case, no English plural ('Boxes' and 'box' are 'box')."""
    key = concept.casefold().strip()
    for ending, instead in _PLURALS:
        if re.search(ending, key) and len(key) > 3:
            return re.sub(ending, instead, key)
    return key


def split_of(concept: str, *, held_out_rendering: bool = False) -> str:
    """The split of a concept in the packaged sources: by its name alone, so it is the same in each of them.

    Args:
        concept: a head noun, "hen".
        held_out_rendering: the picture is of a maker whose pictures are not trained on.
    """
    digest = hashlib.sha256(b"concept " + concept_key(concept).encode()).digest()
    if int.from_bytes(digest[:8], "big") % HELD_OUT == 0:
        return CONCEPTS
    return RENDERINGS if held_out_rendering else TRAIN


def check_packaged(examples: Iterable[Example]) -> None:
    """Refuse examples of the packaged splits that leak.

    Held-out renderings show known concepts in pictures of their own; held-out concepts share nothing with the rest.

    Raises:
        DataError: two splits share something.
    """
    splits: dict[str, list[Example]] = {name: [] for name in SPLITS}
    for example in examples:
        splits[example.split or TRAIN].append(example)
    known = [*splits[TRAIN], *splits[RENDERINGS]]
    check_splits({f"{TRAIN} or {RENDERINGS}": known, CONCEPTS: splits[CONCEPTS]})
    check_splits({TRAIN: splits[TRAIN], RENDERINGS: splits[RENDERINGS]}, concepts=False)


def check_splits(splits: Mapping[str, Iterable[Example]], *, concepts: bool = True) -> None:
    """Refuse splits that share a picture (by SHA-256 of its bytes) or a concept (case and plural aside).

    Args:
        splits: examples by the split's name.
        concepts: compare concepts as well; off where known concepts in new pictures are what is measured.

    Raises:
        DataError: two splits share something; the message names them and the first leaks.
    """
    kept = {name: tuple(examples) for name, examples in splits.items()}
    hashes: dict[Path, str] = {}
    pictures = {name: _pictures(examples, hashes) for name, examples in kept.items()}
    named = {name: {concept_key(e.concept) for e in examples if e.concept} for name, examples in kept.items()}
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
