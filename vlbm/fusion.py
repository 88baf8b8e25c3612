"""Fusions: how a language model's states take in what a picture says.

The default is the weighted sum of model.md, after chosen layers of the language model:

    F = CrossAttention(query = M, keys = values = memory)                     [b,t,d]
    R = M + m * (alpha * F + (beta - 1) * M)  =  alpha*F + beta*M with a picture, exactly M without one

A fusion knows its memory (grid cells and evidence tokens) and the states that it changes; it knows nothing of encoders,
of the language model around it, or of where in a conversation it is used.

Shapes: b batch, t text tokens, n memory slots, d model width, h heads, k channels of a head.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import nn

from vlbm.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Memory:
    """What all fused layers attend to.

    Attributes:
        content: what a slot says [b,n,d], RMS 1.
        previous: for evidence, the content of the token before it [b,n,d]; zero for grid cells.
        traits: what kind of slot it is and how sure [b,n,d].
        words: the slot is a token of evidence, not a grid cell [b,n] bool.
        mask: the slot is in use [b,n] bool.
    """

    content: torch.Tensor
    previous: torch.Tensor
    traits: torch.Tensor
    words: torch.Tensor
    mask: torch.Tensor


@dataclass(frozen=True, slots=True)
class Prepared:
    """One layer's view of a memory, computed once a picture: it serves every token of the answer.

    Attributes:
        keys, values: [b,h,n,k].
        copies: what copying a slot adds to the states [b,n,d].
        mask: slots in use [b,1,1,n] bool.
    """

    keys: torch.Tensor
    values: torch.Tensor
    copies: torch.Tensor
    mask: torch.Tensor

    def repeat(self, times: int) -> Prepared:
        """The same for `times` answers to each picture (beams, several sequences)."""
        return Prepared(**{f.name: getattr(self, f.name).repeat_interleave(times, dim=0) for f in fields(self)})


class Fused(NamedTuple):
    """States after a fusion [b,t,d], and the share that the picture has in each token's state [b,t] in [0,1]."""

    states: torch.Tensor
    weight: torch.Tensor


def unit(x: torch.Tensor, eps: float = 1e-6) -> torch.Tensor:
    """Scale the last dimension to RMS 1."""
    return x * torch.rsqrt(x.pow(2).mean(dim=-1, keepdim=True) + eps)


class WeightedSum(nn.Module):
    """R = alpha*F + beta*M, with alpha and beta per channel times a gate per token.

    F joins two readings of the memory. One is usual multi-head attention through a narrow value projection. The other
    copies: the heads' average attention over evidence tokens carries their content through a full-width map that
    starts as the identity, so that a word which was never in a training caption can still be spoken. Keys hold the
    token before each evidence token and queries hold the current input token, and both start from one projection:
    attention begins life as an induction head (Olsson et al. 2022) and continues words of several tokens.

    F is scaled to the RMS of M, so ||alpha*F|| / ||beta*M|| does not depend on the layer's scale. alpha starts at zero,
    everything it multiplies does not: the first step already has a gradient, and the first forward is the bare model's.
    """

    def __init__(self, *, width: int, heads: int, head_width: int) -> None:
        if heads < 1 or head_width < 1:
            raise ConfigError(f"a fusion needs heads and channels, got {heads} heads of {head_width}")
        super().__init__()
        self.heads, self.head_width = heads, head_width
        inner = heads * head_width
        self.query = nn.Linear(width, inner, bias=False)
        self.query_token = nn.Linear(width, inner, bias=False)
        self.key = nn.Linear(width, inner, bias=False)
        self.key_previous = nn.Linear(width, inner, bias=False)
        self.key_traits = nn.Linear(width, inner, bias=False)
        self.value = nn.Linear(width, inner, bias=False)
        self.value_traits = nn.Linear(width, inner, bias=False)
        self.out = nn.Linear(inner, width, bias=False)
        self.copy = nn.Linear(width, width, bias=False)
        self.gate = nn.Linear(3 * width, 1)
        self.alpha = nn.Parameter(torch.zeros(width))
        self.beta_offset = nn.Parameter(torch.zeros(width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start as the identity on states, with attention that already continues words."""
        width = self.query.in_features
        for linear in (self.query, self.key, self.key_traits, self.value, self.value_traits):
            nn.init.normal_(linear.weight, std=0.5 / math.sqrt(width))
        nn.init.normal_(self.out.weight, std=0.5 / math.sqrt(self.out.in_features))
        nn.init.normal_(self.query_token.weight, std=0.7 / math.sqrt(width))
        with torch.no_grad():
            self.key_previous.weight.copy_(self.query_token.weight)
            self.copy.weight.copy_(torch.eye(width))
        nn.init.normal_(self.gate.weight, std=0.02)
        nn.init.zeros_(self.gate.bias)
        nn.init.zeros_(self.alpha)
        nn.init.zeros_(self.beta_offset)

    def prepare(self, memory: Memory) -> Prepared:
        """Keys, values and copies of a memory for this layer."""
        keys = self.key(memory.content) + self.key_previous(memory.previous) + self.key_traits(memory.traits)
        values = self.value(memory.content) + self.value_traits(memory.traits)
        copies = self.copy(memory.content) * memory.words.unsqueeze(-1).to(memory.content.dtype)
        return Prepared(self._split(keys), self._split(values), copies, memory.mask[:, None, None, :])

    def forward(self, states: torch.Tensor, tokens: torch.Tensor, memory: Prepared, active: torch.Tensor) -> Fused:
        """Fuse.

        Args:
            states: M [b,t,d].
            tokens: embeddings of the current input tokens, RMS 1 [b,t,d].
            memory: this layer's view of the pictures.
            active: m, the tokens on which the fusion acts [b,t] bool; elsewhere R is exactly M.
        """
        normal = unit(states)
        queries = self._split(self.query(normal) + self.query_token(tokens))  # [b,h,t,k]
        scores = queries @ memory.keys.transpose(2, 3) / math.sqrt(self.head_width)  # [b,h,t,n]
        scores = scores.masked_fill(~memory.mask, torch.finfo(scores.dtype).min)
        attention = scores.softmax(dim=-1)
        read = (attention @ memory.values).transpose(1, 2).flatten(2)  # [b,t,h*k]
        found = unit(attention.mean(dim=1) @ memory.copies + self.out(read))  # [b,t,d]
        gate = torch.sigmoid(self.gate(torch.cat([normal, found, tokens], dim=-1)))  # [b,t,1]
        scale = states.detach().pow(2).mean(dim=-1, keepdim=True).sqrt()
        added = gate * self.alpha * found * scale  # alpha*F
        kept = gate * self.beta_offset * states  # (beta - 1)*M
        fused = torch.where(active.unsqueeze(-1), states + added + kept, states)
        return Fused(fused.to(states.dtype), self._share(added, states + kept) * active)

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        b, t, _ = x.shape
        return x.view(b, t, self.heads, self.head_width).transpose(1, 2)

    @staticmethod
    def _share(added: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        """||alpha*F|| / (||alpha*F|| + ||beta*M||) per token [b,t]."""
        with torch.no_grad():
            a, k = added.norm(dim=-1), kept.norm(dim=-1)
            share: torch.Tensor = a / (a + k).clamp_min(1e-12)
            return share


_FUSIONS: dict[str, Callable[..., WeightedSum]] = {"weighted_sum": WeightedSum}


def list_fusions() -> list[str]:
    """Names of the fusions."""
    return sorted(_FUSIONS)


def fusion(name: str) -> Callable[..., WeightedSum]:
    """The registry's row of a name: a module made from `width`, `heads` and `head_width`.

    Raises:
        ConfigError: no such name.
    """
    try:
        return _FUSIONS[name]
    except KeyError:
        raise ConfigError(f"unknown fusion {name!r}: use one of {list_fusions()}") from None
