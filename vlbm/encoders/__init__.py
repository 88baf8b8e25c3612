"""Picture encoders: pixels in, a grid of features and class logits out. One file a family, one registry.

Encoders know nothing of language; the names of their classes live in `vlbm.evidence`. Adding one is a file that makes
an `EncoderSpec`, and its place in `_ENCODERS`.
"""

from __future__ import annotations

from vlbm.encoders.convnets import CONVNETS
from vlbm.encoders.lite0 import LITE0
from vlbm.encoders.spec import EncoderSpec, Seen
from vlbm.errors import ConfigError

__all__ = ["EncoderSpec", "Seen", "encoder", "list_encoders"]

_ENCODERS = {spec.name: spec for spec in (LITE0, *CONVNETS)}


def list_encoders() -> list[str]:
    """Names of the encoders."""
    return sorted(_ENCODERS)


def encoder(name: str) -> EncoderSpec:
    """The registry's row of a name.

    Raises:
        ConfigError: no such name.
    """
    try:
        return _ENCODERS[name]
    except KeyError:
        raise ConfigError(f"unknown encoder {name!r}: use one of {list_encoders()}") from None
