"""Drawings of food from openclipart, in the public domain (Debian `openclipart-png`).

Their own titles are of little use ("R16 sibmission"), so each was looked at and named in foods.txt beside this file;
where the name is an emoji's too, CLDR has it in other languages. Black-and-white doubles and scenes are left out.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from vlbm.data import debian
from vlbm.data.prepared import PICTURES, Made, Source, Tell
from vlbm.data.records import Example
from vlbm.data.sources.cldr import CLDR, names
from vlbm.data.sources.parts import debian_part
from vlbm.data.splits import concept_key, split_of
from vlbm.data.stamps import head_noun

DEBIAN = debian.DebianPackage("openclipart-png", "130 MB", Path("usr/share/openclipart/png"), "food/*.png")
INSTALLED = "/" / DEBIAN.inside
NAMES = Path(__file__).with_name("foods.txt")
LICENCE = "public domain"
SIZE = 256


def make(data_dir: Path, into: Path, languages: Sequence[str], tell: Tell) -> Made:
    """Copy the named drawings, made smaller, and give each its names."""
    folder = debian.find(DEBIAN, data_dir, lambda text: tell(text, 0, 1, ""), installed=INSTALLED)
    with tempfile.TemporaryDirectory(dir=into.parent) as work:
        named, cldr = names(data_dir / "downloads", Path(work), into, languages, tell)
    emoji_of = {name: emoji for emoji, name in named["en"].items()}
    rows = foods()
    examples = list[Example]()
    for number, (path, name) in enumerate(rows, start=1):
        tell("Foods", number, len(rows), "")
        if not (folder / "food" / path).is_file():
            continue
        place = into / PICTURES / path.replace("/", "-")
        shrink(folder / "food" / path, place)
        concept = concept_key(head_noun(f"a {name}"))
        texts = {language: named[language].get(emoji_of.get(name, "")) for language in languages} | {"en": name}
        examples += [
            Example((place,), text, language=language, concept=concept, split=split_of(concept))
            for language in languages
            if (text := texts[language])
        ]
    part = debian_part(
        DEBIAN,
        folder,
        into,
        source="foods",
        holds="pictures",
        licence=LICENCE,
        attribution="Open Clip Art Library (no attribution is asked for)",
    )
    return Made(examples, [part, cldr])


def foods() -> list[tuple[str, str]]:
    """Paths in openclipart's food folder, and names."""
    lines = NAMES.read_text(encoding="utf-8").splitlines()
    pairs = [line.split("\t") for line in lines if line and not line.startswith("#")]
    return [(path, name) for path, name in pairs]


def shrink(picture: Path, place: Path) -> None:
    """A copy with at most SIZE pixels a side; what is transparent stays so."""
    with Image.open(picture) as opened:
        made = opened.convert("RGBA")
    made.thumbnail((SIZE, SIZE), Image.Resampling.LANCZOS)
    made.save(place)


FOODS = Source(
    name="foods",
    holds="drawings of food and drink",
    licence=LICENCE,
    origin=f"Debian {DEBIAN.name}, {CLDR}",
    megabytes=131 + CLDR.megabytes,
    pins=(DEBIAN.name, CLDR.integrity),
    make=make,
)
