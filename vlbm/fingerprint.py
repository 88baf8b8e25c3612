"""What tells two sets of weights apart: a digest of names and values. It knows tensors, not models."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch


def fingerprint(tensors: Iterable[tuple[str, torch.Tensor]], about: str = "") -> str:
    """SHA-256 of tensors, their names and their order, in hexadecimal.

    Args:
        tensors: such as a state's items.
        about: whatever else matters, such as settings.
    """
    digest = hashlib.sha256(about.encode())
    for name, value in tensors:
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
