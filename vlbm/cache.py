"""Where what was made or fetched is kept from one run to the next."""

from __future__ import annotations

import os
from pathlib import Path


def default_cache_dir() -> Path:
    """$VLBM_CACHE, else $XDG_CACHE_HOME/vlbm, else ~/.cache/vlbm."""
    if own := os.environ.get("VLBM_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vlbm"
