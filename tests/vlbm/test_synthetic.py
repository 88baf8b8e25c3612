"""The synthetic proof: the text alone tells nothing, the picture tells all, and nothing is shared between seeds."""

from __future__ import annotations

from collections import Counter

import numpy as np

from vlbm.data.synthetic import SENSES, blank, cases, digest, other, senses


def test_the_same_seed_gives_the_same_bytes_and_others_share_none() -> None:
    train = [digest(case.picture) for case in cases(96, seed=1)]
    assert train == [digest(case.picture) for case in cases(96, seed=1)]
    assert len(set(train)) == 96
    assert not set(train) & {digest(case.picture) for case in cases(96, seed=2)}


def test_the_text_alone_does_not_tell() -> None:
    both = Counter((case.source, case.right) for case in cases(192, seed=1))
    assert set(both.values()) == {2}
    for source, right in both:
        word = next(word for word in SENSES if f" {word}" in source)
        assert {f"The {meaning}." for meaning in SENSES[word]} == {found for text, found in both if text == source}, (
            right
        )


def test_every_sense_has_a_glyph_of_its_own() -> None:
    glyphs = {(sense.shape, sense.colour) for sense in senses()}
    assert len(glyphs) == len(senses()) == 24
    assert all(other(other(sense)) == sense and other(sense).word == sense.word for sense in senses())
    meanings = [sense.meaning for sense in senses()]
    assert len(set(meanings)) == len(meanings)


def test_the_picture_tells() -> None:
    """The mean colour of what is not ground is nearest to the shown sense's own colour."""
    for case in cases(96, seed=3):
        pixels = np.asarray(case.picture, dtype=float).reshape(-1, 3)
        ground = np.median(pixels[:, None], axis=0)
        apart = pixels[np.abs(pixels - ground).max(axis=1) > 60]
        mine, theirs = (np.abs(apart.mean(axis=0) - sense.colour).sum() for sense in (case.sense, other(case.sense)))
        assert mine < theirs
    assert case.picture.size == blank().size == (96, 96)
