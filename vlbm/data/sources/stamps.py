"""The Tux Paint stamps as a source: cut-outs with captions in many languages."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from vlbm.data.prepared import PICTURES, Made, Source, Tell
from vlbm.data.records import Example
from vlbm.data.sources.parts import debian_part
from vlbm.data.splits import concept_key, split_of
from vlbm.data.stamps import DEBIAN, LICENCE, PACKAGE, Stamp, find_stamps, read_stamps


def make(data_dir: Path, into: Path, languages: Sequence[str], tell: Tell) -> Made:
    """Copy the captioned stamps and give each its captions."""
    folder = find_stamps(data_dir, lambda text: tell(text, 0, 1, ""))
    stamps = read_stamps(folder)
    examples = list[Example]()
    for number, stamp in enumerate(stamps, start=1):
        place = into / PICTURES / stamp.path.relative_to(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(stamp.path, place)
        concept = concept_key(stamp.head)
        examples += [
            Example((place,), caption, language=language, concept=concept, split=split_of(concept))
            for language, caption in captions(stamp, languages).items()
        ]
        tell("Stamps", number, len(stamps), "")
    part = debian_part(
        DEBIAN,
        folder,
        into,
        source="stamps",
        holds="pictures and captions",
        licence=LICENCE,
        attribution="Tux Paint stamps, copyright 2002-2022 Bill Kendrick and contributors",
    )
    return Made(examples, [part])


def captions(stamp: Stamp, languages: Sequence[str]) -> dict[str, str]:
    """A stamp's captions by language: in English what it names, in others what the translators wrote.

    Translations are whole, trivia included ("resembles a bee"): they are taken only where the English caption is the
    bare name, so that all languages say the same. What was left in English is no translation.
    """
    lines = stamp.path.with_suffix(".txt").read_text(encoding="utf-8", errors="replace").splitlines()
    english = lines[0].strip()
    found = {"en": f"{stamp.phrase[:1].upper()}{stamp.phrase[1:]}."}
    if english.rstrip(".!").casefold() == stamp.phrase.casefold():
        for line in lines[1:]:
            if (match := re.fullmatch(r"(\w+)\.utf8=(.*)", line)) and (text := match[2].strip()) not in ("", english):
                found.setdefault(match[1].replace("_", "-"), text)
    return {language: found[language] for language in languages if language in found}


STAMPS = Source(
    name="stamps",
    holds="cut-outs of animals, plants, food, vehicles and things",
    licence=LICENCE,
    origin=f"Debian {PACKAGE}",
    megabytes=160,
    pins=(PACKAGE,),
    make=make,
)
