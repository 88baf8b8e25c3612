"""The packaged language model as safetensors in a cache folder, made on first use.

Conversion runs in a process of its own (`python -m vlbm.conversion NAME FOLDER`), because it needs several times the
memory of the model and a process gives none of it back. This module knows names and files; `language` reads them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from vlbm.errors import ConfigError, WeightsDamaged

if TYPE_CHECKING:
    from vlbm.language import Package

LANGUAGE_MODEL = "smollm2-135m-instruct"
LANGUAGE_FILE = "language.safetensors"


def silent(_message: str) -> None:
    """Progress that nobody asked for."""


def language_cache(cache_dir: Path, tell: Callable[[str], None] = silent, name: str = LANGUAGE_MODEL) -> Path:
    """The folder with a packaged language model, converted where it is not yet.

    Args:
        cache_dir: of all converted models.
        tell: is told what takes long.
        name: of `vlbm.language.with_weights()`.

    Raises:
        WeightsMissing: the package with the weights is not installed.
        WeightsDamaged: the weights cannot be converted, or the cache cannot be written; the message says why.
    """
    source = _package(name).source()
    folder = cache_dir / f"{name}-{_fingerprint(source)}"
    if (folder / LANGUAGE_FILE).is_file():
        return folder
    tell(f"Converting {source.name} for later starts (about 15 s, once)")
    done = subprocess.run(  # noqa: S603 (this very module)
        [sys.executable, "-m", "vlbm.conversion", name, str(folder)], capture_output=True, text=True, check=False
    )
    if not (folder / LANGUAGE_FILE).is_file():
        why = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise WeightsDamaged(f"{source} could not be converted into {folder}: {why}")
    return folder


def convert(name: str, folder: Path) -> None:
    """Write a model into a folder: beside its place first, then renamed.

    Two processes that start together both end with a whole one.
    """
    from safetensors.torch import save_file

    package = _package(name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix="making-", dir=folder.parent))
    try:
        weights = package.read(package.source())
        weights.config.save_pretrained(made)
        weights.tokenizer.save_pretrained(made)
        save_file({key: value.contiguous() for key, value in weights.state.items()}, made / LANGUAGE_FILE)
        made.rename(folder)
    except OSError:
        if not (folder / LANGUAGE_FILE).is_file():
            raise
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _package(name: str) -> Package:
    from vlbm.language import language_model

    package = language_model(name).package
    if package is None:
        raise ConfigError(f"no package carries weights of {name}")
    return package


def _fingerprint(path: Path) -> str:
    """Short digest of a large file: its size, its first and its last mebibyte (a full hash would cost each start)."""
    digest = hashlib.sha256(str(path.stat().st_size).encode())
    with path.open("rb") as file:
        digest.update(file.read(1 << 20))
        file.seek(-min(1 << 20, path.stat().st_size), os.SEEK_END)
        digest.update(file.read())
    return digest.hexdigest()[:12]


if __name__ == "__main__":
    convert(sys.argv[1], Path(sys.argv[2]))
