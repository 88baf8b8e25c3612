"""Weights of 4 or 8 bits with a scale and an offset for each 32 of a row, laid out for `step.cpp`.

4 bits hold GGUF's Q4_1 without loss, 8 bits its Q8_0 (github.com/ggml-org/ggml, src/ggml-common.h): what was read from
such a file is rounded to what it was.

Shapes: n outputs, k inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch

from vlbm.engine.packed.compiled import Matrix, Step
from vlbm.errors import ConfigError

GROUP, BLOCK = 32, 16
ROUNDING = 1e-6  # of float32, in parts of the largest weight


@dataclass(frozen=True, slots=True)
class Packed:
    """A matrix [n,k].

    Attributes:
        steps: uint8 [n/16, k/32, 16*32*bits/8].
        scales, offsets: [n/16, k/32, 16].
        bits: 4 or 8.
        inputs: k.
    """

    steps: torch.Tensor
    scales: torch.Tensor
    offsets: torch.Tensor
    bits: int
    inputs: int

    def nbytes(self) -> int:
        """In memory."""
        return int(self.steps.nbytes + self.scales.nbytes + self.offsets.nbytes)

    def matrix(self) -> Matrix:
        """Where it is; this object has to outlive it."""
        pointers = (tensor.data_ptr() for tensor in (self.steps, self.scales, self.offsets))
        return Matrix(*pointers, len(self.scales) * BLOCK, self.inputs, self.bits)


def packed(step: Step, weight: torch.Tensor, bits: int) -> Packed:
    """Round a matrix [n,k].

    Raises:
        ConfigError: it is not made of whole groups and blocks.
    """
    n, k = weight.shape
    if n % BLOCK or k % GROUP:
        raise ConfigError(f"{bits} bits take multiples of {BLOCK} outputs and {GROUP} inputs, got {n} and {k}")
    weight = weight.detach().float().contiguous()
    steps = torch.zeros(n // BLOCK, k // GROUP, GROUP * BLOCK * bits // 8, dtype=torch.uint8)
    scales, offsets = (torch.empty(n // BLOCK, k // GROUP, BLOCK) for _ in range(2))
    pointers = (tensor.data_ptr() for tensor in (steps, scales, offsets))
    step.pack(weight.data_ptr(), n, k, bits, *pointers)
    return Packed(steps, scales, offsets, bits, k)


def unpacked(weight: Packed) -> torch.Tensor:
    """The matrix [n,k] that it stands for."""
    blocks, groups, _ = weight.steps.shape
    fours = weight.steps.reshape(blocks, -1, 4 * BLOCK)
    if weight.bits == 4:
        fours = torch.stack([fours & 15, fours >> 4], dim=2)
    steps = fours.reshape(blocks, weight.inputs // 4, BLOCK, 4).transpose(1, 2)
    steps = steps.reshape(blocks * BLOCK, groups, GROUP).float()

    def by_output(values: torch.Tensor) -> torch.Tensor:
        return values.transpose(1, 2).reshape(blocks * BLOCK, groups, 1)

    return (steps * by_output(weight.scales) + by_output(weight.offsets)).reshape(blocks * BLOCK, weight.inputs)


def lossless(step: Step, model: Any) -> Literal["int4", "int8"] | None:
    """The fewest bits that lose nothing of a Llama's weights, as far as its first layer tells; None where all do."""
    weight = model.language_model.model.layers[0].self_attn.q_proj.weight.detach().float()
    if weight.shape[0] % BLOCK or weight.shape[1] % GROUP:
        return None

    def lost(bits: int) -> float:
        return float((unpacked(packed(step, weight, bits)) - weight).abs().max() / weight.abs().max())

    return "int4" if lost(4) <= ROUNDING else "int8" if lost(8) <= ROUNDING else None
