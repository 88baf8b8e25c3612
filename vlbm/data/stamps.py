"""The Tux Paint stamps: about 950 cut-outs, each with an English caption, from Debian's `tuxpaint-stamps-default`.

Finds them where the package is installed, else fetches the package with `apt-get download` and unpacks it (neither
needs root). Licence of pictures and captions: GPL-2. This module knows files and captions, not models.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vlbm.errors import DataError

PACKAGE = "tuxpaint-stamps-default"
LICENCE = "GPL-2"
INSTALLED = Path("/usr/share/tuxpaint/stamps")
INSIDE = Path("usr/share/tuxpaint/stamps")
# Letters, numbers, coins and the like: the encoder cannot tell them apart, and their captions would be guesses.
LEFT_OUT = ("symbols/alphabets", "symbols/math", "symbols/money", "symbols/chess", "symbols/music", "symbols/faces")

Progress = Callable[[str], None]

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
    for folder in (INSTALLED, cache_dir / PACKAGE / INSIDE):
        if any(folder.glob("*/*.png")):
            return folder
    cache_dir.mkdir(parents=True, exist_ok=True)
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise DataError(f"{PACKAGE} is not installed and {tool} is not here to fetch it: install it from Debian")
    package = next(iter(sorted(cache_dir.glob(f"{PACKAGE}_*.deb"))), None)
    if package is None:
        tell(f"Fetching {PACKAGE} (160 MB)")
        _run(["apt-get", "download", PACKAGE], cache_dir)
        package = next(iter(sorted(cache_dir.glob(f"{PACKAGE}_*.deb"))))
    tell(f"Unpacking {package.name}")
    unpacked = cache_dir / f"{PACKAGE}.part"
    shutil.rmtree(unpacked, ignore_errors=True)
    _run(["dpkg", "-x", package.name, unpacked.name], cache_dir)
    unpacked.rename(cache_dir / PACKAGE)  # only a whole copy ever has the final name
    package.unlink()
    return cache_dir / PACKAGE / INSIDE


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 (fixed commands)
    if done.returncode:
        raise DataError(f"`{' '.join(command)}` failed: {done.stderr.strip() or done.stdout.strip()}")


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
