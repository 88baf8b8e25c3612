"""Measures the sections one by one and keeps each, so that what was interrupted goes on where it was.

A kept section is used again if weights, limit, seed and the form of sections are the same. It knows files and the
order of work, not what is measured.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vlbm.errors import VLBMError
from vlbm.evaluation.card.bench import Bench
from vlbm.evaluation.card.calibration import calibration
from vlbm.evaluation.card.registry import SECTIONS
from vlbm.evaluation.card.section import Section
from vlbm.fingerprint import fingerprint

FOLDER = "sections"
# Raised when sections are measured or kept in another way: kept ones are then measured anew.
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Card:
    """What was measured.

    Attributes:
        weights: SHA-256 of all weights and their names.
        sections: by name.
        left_out: sections that could not be measured, and why.
    """

    weights: str
    sections: dict[str, Section]
    left_out: dict[str, str]


def measure(bench: Bench, names: Sequence[str], out: Path) -> Card:
    """Measure sections, or read them where they are kept.

    One that cannot be measured (its data is not prepared, or cannot be fetched) is left out with the reason; the
    others go on.

    Args:
        bench: the common ground.
        names: of the sections, in order.
        out: the folder of the report; sections are kept in it.
    """
    weights = fingerprint(bench.model.state_dict().items())
    key = hashlib.sha256(f"{weights} {bench.limit} {bench.seed} {FORMAT}".encode()).hexdigest()
    sections, left_out = dict[str, Section](), dict[str, str]()
    for name in names:
        kept = out / FOLDER / f"{name}.json"
        section = None if SECTIONS[name] is calibration else _read(kept, key)
        try:
            sections[name] = section or SECTIONS[name](replace(bench, earlier=dict(sections)))
        except VLBMError as error:
            left_out[name] = str(error)
            continue
        if section is None:
            _keep(kept, key, sections[name])
    return Card(weights, sections, left_out)


def _read(path: Path, key: str) -> Section | None:
    """A kept section; None where there is none, or it is of other weights or settings."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return Section.read(kept["section"]) if kept["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(path: Path, key: str, section: Section) -> None:
    """Written aside and renamed, so that a kept section is a whole one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"key": key, "section": section.plain()}, ensure_ascii=False, indent=1), "utf-8")
    part.rename(path)
