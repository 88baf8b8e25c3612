"""Serving: turns a conversation with pictures into a stream of tokens.

`Engine` runs many turns together, in a thread of its own (docs/engine.md). It knows nothing of users or sockets.
"""

from __future__ import annotations

from vlbm.engine.engine import Engine, EngineInfo
from vlbm.engine.feature_files import FeatureFiles
from vlbm.engine.features import FeatureCache
from vlbm.engine.request import (
    End,
    GenerationRequest,
    Looked,
    Message,
    PictureRef,
    PictureUse,
    Progress,
    Step,
    Token,
)

__all__ = [
    "End",
    "Engine",
    "EngineInfo",
    "FeatureCache",
    "FeatureFiles",
    "GenerationRequest",
    "Looked",
    "Message",
    "PictureRef",
    "PictureUse",
    "Progress",
    "Step",
    "Token",
]
