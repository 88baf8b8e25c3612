"""What was seen of pictures, in a folder: a picture that was asked about before a restart is not looked at again.

One safetensors file a picture, model and language, named by the picture's hash. What is damaged is looked at anew. It
knows files and tensors, not who asks; what an owner has taught never gets here.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from dataclasses import fields
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from vlbm.engine.seen import Features, Key
from vlbm.evidence.runs import Evidence
from vlbm.perception import Visual

log = logging.getLogger(__name__)
MOST_BYTES = 256 * 2**20
FORMAT = "1"


class FeatureFiles:
    """A folder of features; several processes may share one.

    Args:
        folder: made where it is not there.
        most_bytes: of all files; those that were used longest ago are dropped.
    """

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        if most_bytes < 1:
            raise ValueError(f"most_bytes must be at least 1, got {most_bytes}")
        self.folder, self.most_bytes = folder, most_bytes

    def get(self, key: Key) -> Features | None:
        """What was seen, or None."""
        path = self._path(key)
        try:
            found = _read(path)
            os.utime(path)
        except FileNotFoundError:
            return None
        except (SafetensorError, OSError, LookupError, TypeError, ValueError) as error:
            log.warning("%s cannot be read, the picture is looked at again: %s", path, type(error).__name__)
            path.unlink(missing_ok=True)
            return None
        return found

    def put(self, key: Key, features: Features) -> None:
        """Keep what was seen; a full disk is logged and costs a later look."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write(self._path(key), features)
            self._drop()
        except OSError as error:
            log.warning("what was seen of a picture is not kept: %s", error)

    def forget(self, sha256: str) -> None:
        """Drop all that is kept of a picture."""
        for path in self.folder.glob(f"{sha256}-*"):
            path.unlink(missing_ok=True)

    def _path(self, key: Key) -> Path:
        how = hashlib.sha256(f"{FORMAT} {key.model} {key.language}".encode()).hexdigest()[:16]
        return self.folder / f"{key.sha256}-{how}.safetensors"

    def _drop(self) -> None:
        found = sorted((stat.st_mtime, stat.st_size, path) for path, stat in _files(self.folder))
        left = sum(size for _, size, _ in found)
        for _, size, path in found:
            if left <= self.most_bytes:
                return
            path.unlink(missing_ok=True)
            left -= size


def _files(folder: Path) -> list[tuple[Path, os.stat_result]]:
    """Files that are still there when they are looked at: others may drop them meanwhile."""
    with os.scandir(folder) as entries:
        found = list[tuple[Path, os.stat_result]]()
        for entry in entries:
            try:
                found.append((Path(entry.path), entry.stat()))
            except FileNotFoundError:
                continue
        return found


def _read(path: Path) -> Features:
    with safe_open(path, "pt") as file:
        said = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
    grid, seen = tensors.pop("grid"), tensors.pop("seen", None)
    return Features(Visual(grid, Evidence(**tensors), seen), int(said["width"]), int(said["height"]))


def _write(path: Path, features: Features) -> None:
    visual = features.visual
    tensors = {"grid": visual.grid, **{field.name: getattr(visual.evidence, field.name) for field in fields(Evidence)}}
    if visual.seen is not None:
        tensors["seen"] = visual.seen
    handle, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
    os.close(handle)
    try:
        plain = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
        save_file(plain, part, metadata={"width": str(features.width), "height": str(features.height)})
        Path(part).replace(path)
    finally:
        Path(part).unlink(missing_ok=True)
