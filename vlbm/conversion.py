"""The packaged language model as safetensors in a cache folder, made on first use.

Conversion runs in a process of its own (`python -m vlbm.conversion FOLDER`), because it needs several times the memory
of the model and a process gives none of it back. This module knows one model and one format; `language` reads it.
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

from vlbm.errors import WeightsDamaged

LANGUAGE_MODEL = "smollm2-135m-instruct"
LANGUAGE_FILE = "language.safetensors"


def language_cache(cache_dir: Path, tell: Callable[[str], None]) -> Path:
    """The folder with the packaged language model, converted where it is not yet.

    Args:
        cache_dir: of all converted models.
        tell: is told what takes long.

    Raises:
        WeightsMissing: the package with the weights is not installed.
        WeightsDamaged: the weights cannot be converted, or the cache cannot be written; the message says why.
    """
    from vlbm.language import language_model

    spec = language_model(LANGUAGE_MODEL)
    source = spec.source()
    folder = cache_dir / f"{spec.name}-{_fingerprint(source)}"
    if (folder / LANGUAGE_FILE).is_file():
        return folder
    tell(f"Converting {source.name} for later starts (about 15 s, once)")
    done = subprocess.run(  # noqa: S603 (this very module)
        [sys.executable, "-m", "vlbm.conversion", str(folder)], capture_output=True, text=True, check=False
    )
    if not (folder / LANGUAGE_FILE).is_file():
        why = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise WeightsDamaged(f"{source} could not be converted into {folder}: {why}")
    return folder


def convert(folder: Path) -> None:
    """Write the model into a folder: beside its place first, then renamed.

    Two processes that start together both end with a whole one.
    """
    from safetensors.torch import save_file

    import vlbm._torchvision  # noqa: F401 (must run before transformers)
    from vlbm.language import language_model

    spec = language_model(LANGUAGE_MODEL)
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix="making-", dir=folder.parent))
    try:
        weights = spec.read(spec.source())
        weights.config.save_pretrained(made)
        weights.tokenizer.save_pretrained(made)
        save_file({key: value.contiguous() for key, value in weights.state.items()}, made / LANGUAGE_FILE)
        made.rename(folder)
    except OSError:
        if not (folder / LANGUAGE_FILE).is_file():
            raise
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _fingerprint(path: Path) -> str:
    """Short digest of a large file: its size, its first and its last mebibyte (a full hash would cost each start)."""
    digest = hashlib.sha256(str(path.stat().st_size).encode())
    with path.open("rb") as file:
        digest.update(file.read(1 << 20))
        file.seek(-min(1 << 20, path.stat().st_size), os.SEEK_END)
        digest.update(file.read())
    return digest.hexdigest()[:12]


if __name__ == "__main__":
    convert(Path(sys.argv[1]))
