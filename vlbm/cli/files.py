"""Which pictures a command means."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".jp2", ".avif"}


def is_picture(path: Path) -> bool:
    """Whether a file is one by its name."""
    return path.suffix.lower() in ENDINGS


def pictures_in(folder: Path) -> Iterator[Path]:
    """Pictures in a folder and below it, in order of names."""
    return filter(is_picture, sorted(folder.rglob("*")))
