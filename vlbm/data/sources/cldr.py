"""Names of emoji in about a hundred languages, from Unicode's CLDR (npm `cldr-annotations-full`, Unicode-3.0)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from vlbm.data.archives import Archive, fetch, unpack
from vlbm.data.prepared import Part, Tell, copy_texts
from vlbm.data.sources.parts import archive_part
from vlbm.errors import DataError

CLDR = Archive(
    "npm",
    "cldr-annotations-full",
    "48.2.0",
    "sha512-DV7A+rEcgUSNTRsVGNGqBZRmAkGfwhGHO5Q1dRwzBoBnVrHWp804JP7/QJdEc66iHmx3+zLWVIMCFLm0lW7PUQ==",
    7,
)
# "Emoji presentation": CLDR's keys go without it.
VARIATION = "\ufe0f"


def names(
    downloads: Path, work: Path, into: Path, languages: Sequence[str], tell: Tell
) -> tuple[dict[str, dict[str, str]], Part]:
    """Names by language and emoji, English always among them, and the part they are from.

    Args:
        downloads: where archives are kept.
        work: a folder to unpack into.
        into: the source's folder; the licence is copied there.
        languages: which.
        tell: is told what takes long.

    Raises:
        DataError: CLDR has no names in a language, or cannot be fetched.
    """
    archive = fetch(CLDR, downloads, lambda text: tell(text, 0, 1, ""))
    unpack(archive, work / "cldr", lambda name: name == "LICENSE" or name.endswith("/annotations.json"))
    found = {language: _read(work / "cldr", language) for language in {"en", *languages}}
    part = archive_part(CLDR, holds="names", licence="Unicode-3.0", attribution="Unicode CLDR, copyright Unicode, Inc.")
    return found, copy_texts(part, "cldr", [work / "cldr" / "LICENSE"], into)


def _read(folder: Path, language: str) -> dict[str, str]:
    known = {path.name for path in (folder / "annotations").iterdir()}
    if language not in known:
        raise DataError(
            f"CLDR has no names in {language!r}: it has {len(known)} languages, as de, es, fr, pt, ja and zh"
        )
    data = json.loads((folder / "annotations" / language / "annotations.json").read_text(encoding="utf-8"))
    rows = data["annotations"]["annotations"]
    return {emoji: row["tts"][0] for emoji, row in rows.items() if row.get("tts")}
