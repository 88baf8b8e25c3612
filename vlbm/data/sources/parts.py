"""What a source says of the packages that it is made of. It knows packages, not pictures."""

from __future__ import annotations

from pathlib import Path

from vlbm.data import debian
from vlbm.data.archives import Archive
from vlbm.data.prepared import Part, copy_texts


def archive_part(archive: Archive, *, holds: str, licence: str, attribution: str) -> Part:
    """Of a pinned archive."""
    return Part(
        package=f"{archive.registry} {archive.name}",
        version=archive.version,
        integrity=archive.integrity,
        holds=holds,
        licence=licence,
        attribution=attribution,
    )


def debian_part(
    package: debian.DebianPackage, data: Path, into: Path, *, source: str, holds: str, licence: str, attribution: str
) -> Part:
    """Of a Debian package, with its copyright file copied into the source's folder.

    Args:
        package: which.
        data: the folder that `debian.find` found.
        into: the source's folder.
        source: its name.
        holds, licence, attribution: see `Part`.
    """
    documents = debian.documents(package, data)
    part = Part(
        package=f"Debian {package.name}",
        version=debian.version(documents),
        holds=holds,
        licence=licence,
        attribution=attribution,
    )
    return copy_texts(part, source, [path for path in (documents / "copyright",) if path.is_file()], into)
