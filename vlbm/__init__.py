"""Visually augmented language models: a CNN's picture features fused with a GPT-style language model.

The names below are loaded when they are first used, so that `import vlbm` costs milliseconds and pulls in no torch.
This module knows where things live and nothing about how they work.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vlbm.assembly import build
    from vlbm.config import VLBMConfig
    from vlbm.encoders import list_encoders
    from vlbm.fusing import adapters_everywhere, gate_adapters
    from vlbm.fusion import list_fusions
    from vlbm.language import Sizes, language_config, list_language_models
    from vlbm.model import VLBMForConditionalGeneration
    from vlbm.packaged import load, load_packaged
    from vlbm.processing import VLBMImageProcessor, VLBMProcessor

__version__ = "0.1.0"

_HOMES = {
    "VLBMConfig": "vlbm.config",
    "VLBMForConditionalGeneration": "vlbm.model",
    "VLBMImageProcessor": "vlbm.processing",
    "VLBMProcessor": "vlbm.processing",
    "adapters_everywhere": "vlbm.fusing",
    "build": "vlbm.assembly",
    "gate_adapters": "vlbm.fusing",
    "list_encoders": "vlbm.encoders",
    "list_fusions": "vlbm.fusion",
    "list_language_models": "vlbm.language",
    "language_config": "vlbm.language",
    "Sizes": "vlbm.language",
    "load": "vlbm.packaged",
    "load_packaged": "vlbm.packaged",
}

__all__ = [
    "Sizes",
    "VLBMConfig",
    "VLBMForConditionalGeneration",
    "VLBMImageProcessor",
    "VLBMProcessor",
    "__version__",
    "adapters_everywhere",
    "build",
    "gate_adapters",
    "language_config",
    "list_encoders",
    "list_fusions",
    "list_language_models",
    "load",
    "load_packaged",
]


def __getattr__(name: str) -> Any:
    """Import the home of a public name on first use (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'vlbm' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
