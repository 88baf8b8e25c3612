"""Serving: turns a conversation with pictures into a stream of tokens.

`Engine` runs one turn at a time, in the caller's thread. The package knows nothing of users, sockets or storage.
"""

from __future__ import annotations

from vlbm.engine.engine import Engine, EngineInfo
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
    "GenerationRequest",
    "Looked",
    "Message",
    "PictureRef",
    "PictureUse",
    "Progress",
    "Step",
    "Token",
]
