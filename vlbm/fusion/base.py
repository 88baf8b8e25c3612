"""What all fusions share: the memory they read, the reading of it, and how they report.

A fusion knows its memory (grid cells and evidence tokens) and the states that it changes; it knows nothing of encoders,
of the language model around it, or of where in a conversation it is used.

Shapes: b batch, t text tokens, n memory slots, d model width, h heads, k channels of a head.
"""

from __future__ import annotations

import math
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
    """What a fusion made of some states.

    Attributes:
        states: R [b,t,d].
        alpha: ||alpha*F|| / ||M|| of each token [b,t], the size of alpha where F is scaled to M; 0 where m = 0.
        beta: ||beta*M|| / ||M||, the size of beta [b,t]; 1 where m = 0.
        attention: over the memory, averaged over heads [b,t,n].
    """

    states: torch.Tensor
    alpha: torch.Tensor
    beta: torch.Tensor
    attention: torch.Tensor

    @property
    def weight(self) -> torch.Tensor:
        """The picture's share ||alpha*F|| / (||alpha*F|| + ||beta*M||) of each token [b,t], in [0,1]."""
        return self.alpha / (self.alpha + self.beta).clamp_min(1e-12)


def unit(x: torch.Tensor, eps: float = 1e-6) -> torch.Tensor:
    """Scale the last dimension to RMS 1."""
    return x * torch.rsqrt(x.pow(2).mean(dim=-1, keepdim=True) + eps)


def rms(x: torch.Tensor) -> torch.Tensor:
    """RMS of the last dimension [...,1], without a gradient."""
    return x.detach().pow(2).mean(dim=-1, keepdim=True).sqrt()


def join_parts(
    states: torch.Tensor, added: torch.Tensor, changed: torch.Tensor, active: torch.Tensor, attention: torch.Tensor
) -> Fused:
    """R = M + m * (alpha*F + (beta - 1)*M), and its account.

    Args:
        states: M [b,t,d].
        added, changed: alpha*F and (beta - 1)*M [b,t,d].
        active: m [b,t] bool.
        attention: that read F [b,t,n].
    """
    fused = torch.where(active.unsqueeze(-1), states + added + changed, states)
    with torch.no_grad():
        size = states.norm(dim=-1).clamp_min(1e-12)
        alpha = torch.where(active, added.norm(dim=-1) / size, 0.0)
        beta = torch.where(active, (states + changed).norm(dim=-1) / size, 1.0)
    return Fused(fused.to(states.dtype), alpha, beta, attention)


def split_heads(x: torch.Tensor, heads: int) -> torch.Tensor:
    """[b,t,h*k] -> [b,h,t,k]."""
    b, t, _ = x.shape
    return x.view(b, t, heads, -1).transpose(1, 2)


class Fusion(nn.Module):
    """R from M and a memory. Subclasses say how F and M are joined, in `join`.

    F is a multi-head cross-attention from M to the memory, scaled to RMS 1. With `pooled` every key is zero: attention
    is then even over the slots, and F the same for every token. Most fusions change what layers of the language model
    put out, on the tokens of the answer; with `prompt_tokens` one changes the embeddings of so many tokens that begin
    the prompt, and nothing else.

    Gates are parameters called `alpha`, `beta_offset` or `gate...`: training gives them no weight decay.
    """

    pooled = False
    prompt_tokens = 0

    def __init__(self, *, width: int, heads: int, head_width: int) -> None:
        if heads < 1 or head_width < 1:
            raise ConfigError(f"a fusion needs heads and channels, got {heads} heads of {head_width}")
        super().__init__()
        self.width, self.heads, self.head_width = width, heads, head_width
        inner = heads * head_width
        self.value = nn.Linear(width, inner, bias=False)
        self.out = nn.Linear(inner, width, bias=False)
        if not self.pooled:
            self.query = nn.Linear(width, inner, bias=False)
            self.key = nn.Linear(width, inner, bias=False)
        self.make_gates()
        self.reset_parameters()

    def make_gates(self) -> None:
        """Make the parameters of `join`."""
        raise NotImplementedError

    def reset_gates(self) -> None:
        """Start as the identity: exactly one factor of each product at zero."""
        raise NotImplementedError

    def reset_parameters(self) -> None:
        """Start as the identity on states."""
        for linear in [module for module in self.modules() if isinstance(module, nn.Linear)]:
            nn.init.normal_(linear.weight, std=linear.in_features**-0.5)
            if linear.bias is not None:
                nn.init.zeros_(linear.bias)
        self.reset_gates()

    def prepare(self, memory: Memory) -> Prepared:
        """Keys and values of a memory for this layer; nothing is copied."""
        values = split_heads(self.value(memory.content), self.heads)
        keys = torch.zeros_like(values) if self.pooled else self._keys(memory)
        copies = memory.content[..., :0]
        return Prepared(keys, values, copies, memory.mask[:, None, None, :])

    def forward(self, states: torch.Tensor, tokens: torch.Tensor, memory: Prepared, active: torch.Tensor) -> Fused:
        """Fuse.

        Args:
            states: M [b,t,d].
            tokens: embeddings of the current input tokens, RMS 1 [b,t,d].
            memory: this layer's view of the pictures.
            active: m, the tokens on which the fusion acts [b,t] bool; elsewhere R is exactly M.
        """
        normal = unit(states)
        found, attention = self.read(self.questions(normal, active), memory)
        added, changed = self.join(states, normal, found, rms(states))
        return join_parts(states, added, changed, active, attention)

    def questions(self, normal: torch.Tensor, active: torch.Tensor) -> torch.Tensor:
        """What is asked of the memory for each token [b,t,d]: its own state."""
        return normal

    def join(
        self, states: torch.Tensor, normal: torch.Tensor, found: torch.Tensor, scale: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The two parts of R - M: alpha*F, and (beta - 1)*M.

        Args:
            states, normal: M as it is, and at RMS 1 [b,t,d].
            found: F at RMS 1 [b,t,d].
            scale: RMS of M [b,t,1].
        """
        raise NotImplementedError

    def read(self, questions: torch.Tensor, memory: Prepared) -> tuple[torch.Tensor, torch.Tensor]:
        """F at RMS 1 [b,t,d], and the attention that read it, averaged over heads [b,t,n]."""
        b, t, _ = questions.shape
        if self.pooled:
            scores = questions.new_zeros(b, self.heads, t, memory.keys.shape[2])
        else:
            queries = split_heads(self.query(questions), self.heads)
            scores = queries @ memory.keys.transpose(2, 3) / math.sqrt(self.head_width)  # [b,h,t,n]
        attention = scores.masked_fill(~memory.mask, torch.finfo(scores.dtype).min).softmax(dim=-1)
        return unit(self.out((attention @ memory.values).transpose(1, 2).flatten(2))), attention.mean(dim=1)

    def _keys(self, memory: Memory) -> torch.Tensor:
        return split_heads(self.key(memory.content + memory.traits), self.heads)
