"""The sections of the card, in its order: one entry each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vlbm.errors import ConfigError
from vlbm.evaluation.card.bench import Bench
from vlbm.evaluation.card.calibration import calibration
from vlbm.evaluation.card.chat import chat
from vlbm.evaluation.card.composed import scenes
from vlbm.evaluation.card.languages import captions, translation
from vlbm.evaluation.card.meanings import meanings
from vlbm.evaluation.card.named import concepts, photos, renderings
from vlbm.evaluation.card.pages import pages
from vlbm.evaluation.card.parts import parts
from vlbm.evaluation.card.section import Section
from vlbm.evaluation.card.spoken import spoken
from vlbm.evaluation.card.taught import taught

SECTIONS: dict[str, Callable[[Bench], Section]] = {
    "photos": photos,
    "renderings": renderings,
    "concepts": concepts,
    "taught": taught,
    "classes": spoken,
    "scenes": scenes,
    "ambiguous": meanings,
    "captions": captions,
    "translation": translation,
    "chat": chat,
    "pages": pages,
    "parts": parts,
    "calibration": calibration,
}


def chosen(only: Sequence[str]) -> list[str]:
    """The sections asked for, in the card's order; all where none is.

    Raises:
        ConfigError: there is none of a name.
    """
    if unknown := sorted(set(only) - SECTIONS.keys()):
        raise ConfigError(f"there is no section {unknown[0]!r}: use {', '.join(SECTIONS)}")
    return [name for name in SECTIONS if not only or name in only]
