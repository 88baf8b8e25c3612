"""Picture encoders: pixels in, a grid of features and class logits out. One file a family, one registry.

Encoders know nothing of language; the names of their classes live in `vlbm.evidence`. Adding one is a file that makes
an `EncoderSpec`, and its place in `_ENCODERS`. Vision towers of transformers have no row of their own: their
configuration is the row (`vlbm.encoders.towers`).
"""

from __future__ import annotations

from pathlib import Path

import vlbm._torchvision  # noqa: F401 (must run before transformers)

# isort: split
from transformers import PreTrainedConfig, PreTrainedModel

from vlbm.encoders.convnets import CONVNETS
from vlbm.encoders.lite import LITES
from vlbm.encoders.spec import Encoder, EncoderSpec, Seen
from vlbm.encoders.towers import FoundTower, find_tower
from vlbm.errors import ConfigError

__all__ = [
    "TOWER",
    "Encoder",
    "EncoderSource",
    "EncoderSpec",
    "Seen",
    "encoder",
    "find_encoder",
    "list_encoders",
    "names_tower",
]

TOWER = "tower"
EncoderSource = str | Path | PreTrainedConfig | PreTrainedModel

_ENCODERS = {spec.name: spec for spec in (*LITES, *CONVNETS)}


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


def names_tower(source: str | Path) -> bool:
    """Whether a name is that of a vision tower, a folder or "owner/name" on a hub, and not one of the registry.

    Raises:
        ConfigError: it can be neither.
    """
    if str(source) in _ENCODERS:
        return False
    if "/" in str(source) or Path(source).is_dir():
        return True
    raise _unknown(source)


def find_encoder(source: EncoderSource, *, weights: bool) -> FoundTower | None:
    """The vision tower that is meant; None where it is a name of the registry.

    Args:
        source: a name (see `names_tower`), or a tower's configuration, or the loaded model.
        weights: read a tower's weights too.

    Raises:
        ConfigError: there is no such name or folder, or what is there is no vision tower.
        WeightsMissing, WeightsDamaged: the tower's weights cannot be used.
    """
    if isinstance(source, (str, Path)) and not names_tower(source):
        return None
    try:
        return find_tower(source, weights=weights)
    except (OSError, ValueError) as error:
        raise _unknown(source, f" ({str(error).splitlines()[0]})") from error


def _unknown(source: object, reason: str = "") -> ConfigError:
    return ConfigError(
        f"unknown encoder {str(source)!r}{reason}: use one of {', '.join(list_encoders())}, "
        "or the folder or hub's name (owner/name) of a vision tower"
    )
