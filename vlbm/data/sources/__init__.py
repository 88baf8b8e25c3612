"""Sources of pictures with captions that packages carry: one file each, one registry."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vlbm.data.prepared import Prepared, Source, prepared
from vlbm.data.sources.emoji import EMOJI
from vlbm.data.sources.foods import FOODS
from vlbm.data.sources.stamps import STAMPS
from vlbm.data.splits import check_packaged
from vlbm.errors import DataError

SOURCES = {source.name: source for source in (STAMPS, EMOJI, FOODS)}


def source(name: str) -> Source:
    """A source by its name.

    Raises:
        DataError: there is none of that name.
    """
    if name not in SOURCES:
        raise DataError(f"unknown source {name!r}: use one of {', '.join(SOURCES)}")
    return SOURCES[name]


def check_all(data_dir: Path) -> Sequence[Prepared]:
    """Check every prepared source against every other; returns them.

    Raises:
        DataError: a picture or a concept of one's training is held out in another.
    """
    found = [there for each in SOURCES.values() if (there := prepared(each, data_dir))]
    check_packaged(example for there in found for example in there.examples())
    return found
