"""The Tux Paint stamps: about 950 cut-outs, each with an English caption, from Debian's `tuxpaint-stamps-default`.

Licence of pictures and captions: GPL-2. This module knows files and captions, not models; `vlbm.data.debian` finds
the package.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from vlbm.data.debian import DebianPackage, Progress, find
from vlbm.errors import DataError

PACKAGE = "tuxpaint-stamps-default"
LICENCE = "GPL-2"
INSTALLED = Path("/usr/share/tuxpaint/stamps")
INSIDE = Path("usr/share/tuxpaint/stamps")
DEBIAN = DebianPackage(PACKAGE, "160 MB", INSIDE, "*/*.png")
# Letters, numbers, coins and the like: the encoder cannot tell them apart, and their captions would be guesses.
LEFT_OUT = ("symbols/alphabets", "symbols/math", "symbols/money", "symbols/chess", "symbols/music", "symbols/faces")

_STARTS = re.compile(r"^(A|An|The|Some|Two|Three|Our) ", re.ASCII)
_TRIVIA = (
    "is|are|was|were|has|have|had|resembles?|can|stands|hatched|called|eaten|lives?|with which|that|which|who|used|"
    "means?|playing|dancing"
)
_CUT = re.compile(rf"( ({_TRIVIA})\b|[.!?;:\u2014\u2013(,]| - ).*$")
_MEASURES = {
    "pair",
    "piece",
    "group",
    "head",
    "bunch",
    "slice",
    "glass",
    "bowl",
    "tube",
    "bulb",
    "box",
    "baby",
    "couple",
}


@dataclass(frozen=True, slots=True)
class Stamp:
    """One picture with its caption.

    Attributes:
        path: the PNG file.
        phrase: the caption as a noun phrase, "a brown hen".
        head: its last noun, "hen": the concept that splits keep together.
    """

    path: Path
    phrase: str
    head: str


def find_stamps(cache_dir: Path, tell: Progress) -> Path:
    """The folder of stamps: the installed one, an earlier copy in the cache, or a new one fetched now.

    Raises:
        DataError: the package is not installed and cannot be fetched.
    """
    return find(DEBIAN, cache_dir, tell, installed=INSTALLED)


def read_stamps(folder: Path) -> list[Stamp]:
    """All stamps with a usable caption, in a fixed order.

    Raises:
        DataError: there are none.
    """
    stamps = []
    for text in sorted(folder.rglob("*.txt")):
        place = text.relative_to(folder).as_posix()
        picture = text.with_suffix(".png")
        if place.startswith(LEFT_OUT) or not picture.is_file():
            continue
        phrase = noun_phrase(text.read_text(encoding="utf-8", errors="replace").partition("\n")[0])
        if phrase:
            stamps.append(Stamp(path=picture, phrase=phrase, head=head_noun(phrase)))
    if not stamps:
        raise DataError(f"no stamps with captions in {folder}: run `vlbm data prepare` again")
    return stamps


def noun_phrase(caption: str) -> str | None:
    """What a caption names, without trivia: 'A hoverfly resembles a bee.' -> 'a hoverfly'; None if unclear."""
    caption = caption.strip()
    if not _STARTS.match(caption):
        return None
    cut = _CUT.sub("", caption).strip()
    words = cut.split()
    if not 2 <= len(words) <= 7 or words[0] == "Our" or "part" in words:
        return None
    return cut[0].lower() + cut[1:]


def head_noun(phrase: str) -> str:
    """The last word before 'of', 'with', 'in' ...: 'a glass of water' -> 'water', 'a castle in ruins' -> 'castle'."""
    words = phrase.lower().split()[1:]
    if "of" in words and words[: words.index("of")][-1:] and words[words.index("of") - 1] in _MEASURES:
        words = words[words.index("of") + 1 :]
    for stop in ("of", "with", "in", "on", "at", "for", "from", "to", "dancing", "wearing", "holding"):
        if stop in words[1:]:
            words = words[: words.index(stop, 1)]
    return re.sub(r"[^a-z-]", "", words[-1]) if words else phrase
