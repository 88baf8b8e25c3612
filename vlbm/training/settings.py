"""What a training's file may say: TOML, every field checked, every mistake named with what would be right.

    out = "runs/mine"

    [model]
    language_model = "new"       # or a folder, or a name on a hub
    encoder = "resnet18"
    encoder_weights = "random"   # or "pretrained", or a file
    fusion = "sum_channel"

    [new]                        # the language model from scratch
    kind = "gpt2"

    [data]
    train = "train.jsonl"
    held_out = "held_out.jsonl"

    [training]
    steps = 2000

Paths are relative to the file; what may also be a name is a path where there is such a file or folder. It knows the
file, and nothing of what is done with it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from vlbm.encoders import list_encoders, names_tower
from vlbm.errors import ConfigError
from vlbm.fusion import list_fusions
from vlbm.language import Sizes, from_scratch
from vlbm.training.plan import Plan

NEW = "new"
WORDS = {NEW, "pretrained", "random", *list_encoders()}  # never a path, whatever lies beside the file


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """The parts.

    Attributes:
        language_model: "new" (see `NewSettings`), one that comes with weights, a folder, or a name on a hub.
        encoder: a name of the registry, or a vision tower's folder or name on a hub.
        fusion: a name of the registry.
        encoder_weights: "pretrained", "random" or a file.
        fusion_layers: by default the upper half.
        fusion_heads, fusion_head_width: of the attention over the picture.
    """

    language_model: str | Path
    encoder: str | Path = "efficientnet_lite0"
    encoder_weights: str | Path = "pretrained"
    fusion: str = "weighted_sum"
    fusion_layers: list[int] | None = None
    fusion_heads: int = 6
    fusion_head_width: int = 64

    def __post_init__(self) -> None:
        names_tower(self.encoder)  # refuses what can be no encoder
        if self.fusion not in list_fusions():
            raise ConfigError(f"unknown fusion {self.fusion!r}: use one of {', '.join(list_fusions())}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSettings:
    """A language model from scratch, with a tokenizer of its own, trained on the training texts.

    Attributes:
        kind: of network, a name of `vlbm.language.from_scratch()`.
        layers, width, heads, context, dropout: its sizes (`vlbm.language.Sizes`).
        vocabulary: tokens, at most.
    """

    kind: str = "gpt2"
    layers: int = 4
    width: int = 256
    heads: int = 4
    vocabulary: int = 4096
    context: int = 512
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.kind not in from_scratch():
            raise ConfigError(f"unknown kind {self.kind!r}: use one of {', '.join(from_scratch())}")
        self.sizes(self.vocabulary)

    def sizes(self, vocabulary: int) -> Sizes:
        """The sizes with the vocabulary that a tokenizer really has."""
        return Sizes(
            vocabulary=vocabulary,
            layers=self.layers,
            width=self.width,
            heads=self.heads,
            context=self.context,
            dropout=self.dropout,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSettings:
    """Files of the native format (docs/data.md).

    Attributes:
        train, held_out: the files.
        pictures: the folder of pictures; by default each file's own.
        concepts_apart: refuse concepts that are in both.
    """

    train: Path
    held_out: Path
    pictures: Path | None = None
    concepts_apart: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A whole training.

    Attributes:
        out: folder of the model, its checkpoint and curves.
    """

    out: Path
    model: ModelSettings
    data: DataSettings
    new: NewSettings = field(default_factory=NewSettings)
    training: Plan = field(default_factory=Plan)


def read_settings(path: Path) -> Settings:
    """Read a training's file.

    Raises:
        ConfigError: it is not there, is no TOML, or a field cannot work; the message names it.
    """
    try:
        with path.open("rb") as file:
            table = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no TOML: {error}") from error
    try:
        settings: Settings = _make(Settings, table, "", path.parent)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return settings


def _make(kind: type[Any], table: Mapping[str, Any], where: str, folder: Path) -> Any:
    """A dataclass from a table; `where` is the table's name, for messages."""
    hints, known = get_type_hints(kind), {f.name: f for f in fields(kind)}
    place = f"[{where}] " if where else ""
    if unknown := sorted(table.keys() - known.keys()):
        raise ConfigError(f"{place}unknown field {unknown[0]!r}: use {', '.join(known)}")
    if missing := [name for name, f in known.items() if name not in table and _required(f)]:
        raise ConfigError(f"{place}{missing[0]!r} must be given")
    values = {name: _value(hints[name], value, name, place, folder) for name, value in table.items()}
    try:
        return kind(**values)
    except ConfigError as error:
        raise ConfigError(f"{place}{error}") from error


def _required(f: Field[Any]) -> bool:
    return f.default is MISSING and f.default_factory is MISSING


def _value(hint: Any, value: Any, name: str, place: str, folder: Path) -> Any:
    """A value as its field wants it."""
    if hasattr(hint, "__dataclass_fields__"):
        if not isinstance(value, dict):
            raise ConfigError(f"{place}{name!r} must be a table")
        return _make(hint, value, name, folder)
    kinds = _kinds(hint)
    if Path in kinds and isinstance(value, str):
        named = str in kinds and (value in WORDS or not (folder / value).exists())
        return value if named else folder / value
    if float in kinds and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    wanted = tuple(kind for kind in kinds if kind is not Path)
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in kinds):
        names = " or ".join("path" if kind is Path else kind.__name__ for kind in kinds if kind is not type(None))
        raise ConfigError(f"{place}{name!r} must be {names}, got {type(value).__name__} {value!r}")
    if isinstance(value, list) and not all(isinstance(item, int) for item in value):
        raise ConfigError(f"{place}{name!r} must be a list of whole numbers, got {value!r}")
    return value


def _kinds(hint: Any) -> tuple[type, ...]:
    """The plain types of a hint: `list[int] | None` -> (list, NoneType)."""
    origin = getattr(hint, "__origin__", None)
    if origin is Literal:
        return (str,)
    if isinstance(hint, type) and origin is None:
        return (hint,)
    if origin in (list, tuple):
        return (origin,)
    return tuple(kind for part in get_args(hint) for kind in _kinds(part))
