"""The index of a visual memory as a file: features of pictures, and what each shows.

One safetensors file: `features` [N, d_v] in half precision, and in its metadata the format, the encoder that made the
features, and the entries as JSON. Captions are kept as text, so an index fits every model with the same encoder. It is
written aside and renamed. This module knows files, not models.

Shapes: N remembered pictures, d_v encoder width.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from vlbm.errors import MemoryUnusable

FORMAT, FORMAT_VERSION = "vlbm-memory", "1"
ADVICE = "use another file with --memory, or remove it and add the pictures again"


@dataclass(frozen=True, slots=True)
class Entry:
    """One picture that is remembered.

    Attributes:
        caption: what it shows, as it was told.
        language: of the caption, as a BCP 47 tag.
        sha256: of the picture's bytes.
        name: of the picture's file when it was added.
    """

    caption: str
    language: str
    sha256: str
    name: str


@dataclass(frozen=True, slots=True)
class Index:
    """A visual memory.

    Attributes:
        encoder: identity of the encoder that made the features; empty while nothing is remembered.
        entries: what is remembered, in the order in which it was added.
        features: pooled features of each entry's picture [N, d_v].
    """

    encoder: str
    entries: tuple[Entry, ...]
    features: torch.Tensor

    def without(self, gone: Callable[[Entry], bool]) -> Index:
        """The index without some entries."""
        kept = [number for number, entry in enumerate(self.entries) if not gone(entry)]
        return Index(self.encoder, tuple(self.entries[number] for number in kept), self.features[kept])

    def plus(self, encoder: str, entries: Sequence[Entry], features: torch.Tensor) -> Index:
        """The index with more entries; an entry of the same picture and language takes the place of the old one.

        Raises:
            MemoryUnusable: the features are another encoder's.
        """
        self.check(encoder)
        new = {(entry.sha256, entry.language) for entry in entries}
        kept = self.without(lambda entry: (entry.sha256, entry.language) in new)
        joined = torch.cat([kept.features, features]) if kept.entries else features
        return Index(encoder, (*kept.entries, *entries), joined)

    def check(self, encoder: str) -> None:
        """Refuse another encoder.

        Raises:
            MemoryUnusable: the features were made by another one.
        """
        if self.entries and self.encoder != encoder:
            raise MemoryUnusable(
                f"the memory was made with another encoder ({self.encoder}, this model has {encoder}): {ADVICE}"
            )


EMPTY = Index("", (), torch.zeros(0, 0))


def read_index(path: Path) -> Index:
    """Read an index; one that is not there is empty.

    Raises:
        MemoryUnusable: the file is damaged, no index, or of a newer format.
    """
    if not path.exists():
        return EMPTY
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            features = file.get_tensor("features").float() if about.get("format") == FORMAT else torch.zeros(0, 0)
        if about.get("format") != FORMAT:
            raise MemoryUnusable(f"{path} is no visual memory: {ADVICE}")
        if about.get("format_version") != FORMAT_VERSION:
            raise MemoryUnusable(
                f"{path} has format {about.get('format_version')}, this is {FORMAT_VERSION}: update vlbm"
            )
        entries = tuple(Entry(**row) for row in json.loads(about["entries"]))
    except (SafetensorError, OSError, ValueError, TypeError, KeyError) as error:
        raise MemoryUnusable(f"{path} is damaged ({error}): {ADVICE}") from error
    if features.ndim != 2 or len(features) != len(entries) or not bool(features.isfinite().all()):
        raise MemoryUnusable(f"{path} is damaged ({len(entries)} entries, features {tuple(features.shape)}): {ADVICE}")
    return Index(about.get("encoder", ""), entries, features)


def write_index(path: Path, index: Index) -> None:
    """Write an index, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [asdict(entry) for entry in index.entries]
    about = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "encoder": index.encoder,
        "entries": json.dumps(rows, ensure_ascii=False),
    }
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    save_file({"features": index.features.half().contiguous()}, part, metadata=about)
    part.chmod(0o600)  # what somebody showed is nobody else's
    part.replace(path)


def matches(words: Sequence[str]) -> Callable[[Entry], bool]:
    """Whether an entry is meant by one of some words: its caption, its file's name, or the beginning of its hash."""
    wanted = {word.casefold() for word in words}

    def meant(entry: Entry) -> bool:
        names = {entry.caption.casefold(), entry.name.casefold(), Path(entry.name).name.casefold()}
        return bool(names & wanted) or any(len(word) >= 8 and entry.sha256.startswith(word) for word in wanted)

    return meant
