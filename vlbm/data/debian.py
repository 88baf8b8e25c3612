"""Data that Debian packages carry: found where a package is installed, else fetched and unpacked without root.

`apt-get download` fetches and checks it against Debian's signed lists; `dpkg -x` unpacks it. This module knows
packages and folders, and nothing of what lies in them.
"""

from __future__ import annotations

import gzip
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vlbm.data.commands import run
from vlbm.errors import DataError

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class DebianPackage:
    """A package of data.

    Attributes:
        name: Debian's.
        size: of the download, as a person reads it.
        inside: the folder of its data, from the root.
        sample: a glob of files that are there when the folder is whole.
    """

    name: str
    size: str
    inside: Path
    sample: str


def find(package: DebianPackage, cache_dir: Path, tell: Progress, *, installed: Path | None = None) -> Path:
    """The folder of a package's data: the installed one, an earlier copy in the cache, or a new one fetched now.

    Args:
        package: what is wanted.
        cache_dir: where copies are kept.
        tell: is told what takes long.
        installed: where it would be installed; `package.inside` by default.

    Raises:
        DataError: the package is not installed and cannot be fetched.
    """
    for folder in (installed or "/" / package.inside, cache_dir / package.name / package.inside):
        if any(folder.glob(package.sample)):
            return folder
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise DataError(
                f"{package.name} is not installed and {tool} is not here to fetch it: install it from Debian"
            )
    cache_dir.mkdir(parents=True, exist_ok=True)
    file = next(iter(sorted(cache_dir.glob(f"{package.name}_*.deb"))), None) or _fetch(package, cache_dir, tell)
    tell(f"Unpacking {file.name}")
    unpacked = cache_dir / f"{package.name}.part"
    shutil.rmtree(unpacked, ignore_errors=True)
    run(["dpkg", "-x", file.name, unpacked.name], cache_dir)
    unpacked.rename(cache_dir / package.name)  # only a whole copy ever has the final name
    file.unlink()
    return cache_dir / package.name / package.inside


def _fetch(package: DebianPackage, cache_dir: Path, tell: Progress) -> Path:
    tell(f"Fetching {package.name} ({package.size})")
    with tempfile.TemporaryDirectory(prefix="fetching-", dir=cache_dir) as made:
        run(["apt-get", "download", package.name], Path(made))
        file = next(Path(made).glob("*.deb"))
        return file.rename(cache_dir / file.name)  # a download that was cut off never has this name


def documents(package: DebianPackage, data: Path) -> Path:
    """The folder of a package's copyright and changelog, for the data that `find` found."""
    inside = Path("usr/share/doc") / package.name
    root = Path(*data.parts[: -len(package.inside.parts)])
    return root / inside if data.parts[-len(package.inside.parts) :] == package.inside.parts else "/" / inside


def version(documents: Path) -> str:
    """The version by the first line of a package's changelog; "unknown" where that was not installed."""
    for name in ("changelog.Debian.gz", "changelog.gz"):
        if (documents / name).is_file():
            first = gzip.decompress((documents / name).read_bytes()).decode("utf-8", "replace").partition("\n")[0]
            if found := re.search(r"\(([^)]+)\)", first):
                return found[1]
    return "unknown"
