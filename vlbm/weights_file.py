"""Reading a file of weights for one part, whole or not at all: no other keys, no other shapes, nothing unpickled."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from vlbm.errors import WeightsDamaged, WeightsMissing


def read_weights(
    path: Path, wanted: Mapping[str, torch.Tensor], what: str, *, part: tuple[str, ...] = ("",)
) -> dict[str, torch.Tensor]:
    """Read weights and compare them with what a module has.

    Args:
        path: safetensors by its ending, else a file of `torch.save`, read with `weights_only=True`.
        wanted: the module's state; only names and shapes are looked at.
        what: the module's name, for messages.
        part: keys that begin otherwise are left alone, in the file and in the module.

    Raises:
        WeightsMissing: there is no such file.
        WeightsDamaged: the file cannot be read, holds more than tensors, or lacks keys, has others or other shapes.
    """
    if not path.is_file():
        raise WeightsMissing(f"{path} is not there: give a file with the weights of {what}")
    state = read_tensors(path)
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsDamaged(f"{path} is not a table of tensors: save the module's state_dict()")
    state = {key: value for key, value in state.items() if key.startswith(part)}
    keys = {key for key in wanted if key.startswith(part)}
    lacks, unknown = sorted(keys - state.keys()), sorted(state.keys() - keys)
    if lacks or unknown:
        raise WeightsDamaged(
            f"{path} is not weights of {what}: it lacks {len(lacks)} keys {lacks[:3]} and has {len(unknown)} unknown "
            f"{unknown[:3]}"
        )
    for key, value in state.items():
        if value.shape != wanted[key].shape:
            raise WeightsDamaged(f"{path}: {key} is {tuple(value.shape)}, {what} has {tuple(wanted[key].shape)}")
    return state


def read_tensors(path: Path, device: torch.device | str = "cpu") -> Any:
    """What a file holds: plain tensors and tables of them, nothing that runs when it is read.

    Raises:
        WeightsDamaged: the file is torn, or holds more than that.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path, device=str(device))
        return torch.load(path, weights_only=True, map_location=device)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, LookupError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsDamaged(f"{path} cannot be read as plain tensors: {reason}") from error
