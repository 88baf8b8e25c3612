"""How much memory an engine will need, said before it is taken. It knows sizes and the machine, nothing of turns."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from vlbm.errors import NotEnoughMemory

# Of a weight, with its group's scale and offset.
BYTES = {"fp32": 4.0, "bf16": 2.0, "fp16": 2.0, "int8": 1.25, "int4": 0.75}
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def check_memory(model: Any, precision: str, tokens: int) -> None:
    """Refuse what would not fit.

    Args:
        model: with a Llama, loaded already.
        precision: of the language model's weights.
        tokens: that the cache has room for.

    Raises:
        NotEnoughMemory: weights and cache need more than is free.
    """
    config = model.language_model.config
    weights = sum(parameter.numel() for parameter in model.language_model.parameters()) * BYTES[precision]
    number = 4 if precision == "fp32" else 2  # bytes of a key's or value's channel
    cache = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * number * tokens
    free = free_bytes(model.device)
    if weights + cache > free:
        raise NotEnoughMemory(
            f"the engine needs {_gib(weights)} for weights ({precision}) and {_gib(cache)} for a cache of {tokens} "
            f"tokens, {_gib(free)} are free: give it fewer tokens, weights of fewer bits, or more memory"
        )


def free_bytes(device: torch.device) -> float:
    """Memory that is free on a device; without a way to tell, endless."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    if device.type != "cpu" or not hasattr(os, "sysconf"):
        return float("inf")
    free = float(os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PHYS_PAGES")
    info = Path("/proc/meminfo")
    if info.is_file():
        said = dict(line.split(":", 1) for line in info.read_text("ascii").splitlines())
        free = float(said["MemAvailable"].split()[0]) * 1024
    limits = [Path(path).read_text("ascii").strip() for path in LIMITS if Path(path).is_file()]
    return min([free, *(float(limit) for limit in limits if limit.isdigit())])


def _gib(size: float) -> str:
    return f"{size / 2**30:.1f} GiB"
