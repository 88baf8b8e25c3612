"""The packaged default: a weighted sum that can also copy words from the evidence.

    F = CrossAttention(query = M, keys = values = memory)                     [b,t,d]
    R = M + m * (alpha * F + (beta - 1) * M)  =  alpha*F + beta*M with a picture, exactly M without one

It knows what `base` knows, and that some memory slots are tokens of the language model's vocabulary.

Shapes: b batch, t text tokens, n memory slots, d model width, h heads, k channels of a head.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from vlbm.fusion.base import Fused, Fusion, Memory, Prepared, join_parts, rms, split_heads, unit


class WeightedSum(Fusion):
    """R = alpha*F + beta*M, with alpha and beta per channel times a gate per token.

    F joins two readings of the memory. One is usual multi-head attention through a narrow value projection. The other
    copies: the heads' average attention over evidence tokens carries their content through a full-width map that
    starts as the identity, so that a word which was never in a training caption can still be spoken. Keys hold the
    token before each evidence token and queries hold the current input token, and both start from one projection:
    attention begins life as an induction head (Olsson et al. 2022) and continues words of several tokens.

    F is scaled to the RMS of M, so ||alpha*F|| / ||beta*M|| does not depend on the layer's scale. alpha starts at zero,
    everything it multiplies does not: the first step already has a gradient, and the first forward is the bare model's.
    """

    def make_gates(self) -> None:
        """The reading's further maps, the gate, alpha and beta."""
        width, inner = self.width, self.heads * self.head_width
        self.query_token = nn.Linear(width, inner, bias=False)
        self.key_previous = nn.Linear(width, inner, bias=False)
        self.key_traits = nn.Linear(width, inner, bias=False)
        self.value_traits = nn.Linear(width, inner, bias=False)
        self.copy = nn.Linear(width, width, bias=False)
        self.gate = nn.Linear(3 * width, 1)
        self.alpha = nn.Parameter(torch.zeros(width))
        self.beta_offset = nn.Parameter(torch.zeros(width))

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
        return Prepared(
            split_heads(keys, self.heads), split_heads(values, self.heads), copies, memory.mask[:, None, None, :]
        )

    def forward(self, states: torch.Tensor, tokens: torch.Tensor, memory: Prepared, active: torch.Tensor) -> Fused:
        """Fuse.

        Args:
            states: M [b,t,d].
            tokens: embeddings of the current input tokens, RMS 1 [b,t,d].
            memory: this layer's view of the pictures.
            active: m, the tokens on which the fusion acts [b,t] bool; elsewhere R is exactly M.
        """
        normal = unit(states)
        queries = split_heads(self.query(normal) + self.query_token(tokens), self.heads)  # [b,h,t,k]
        scores = queries @ memory.keys.transpose(2, 3) / math.sqrt(self.head_width)  # [b,h,t,n]
        scores = scores.masked_fill(~memory.mask, torch.finfo(scores.dtype).min)
        attention = scores.softmax(dim=-1)
        read = (attention @ memory.values).transpose(1, 2).flatten(2)  # [b,t,h*k]
        average = attention.mean(dim=1)  # [b,t,n]
        found = unit(average @ memory.copies + self.out(read))  # [b,t,d]
        gate = torch.sigmoid(self.gate(torch.cat([normal, found, tokens], dim=-1)))  # [b,t,1]
        scale = rms(states)
        added = gate * self.alpha * found * scale  # alpha*F
        changed = gate * self.beta_offset * states  # (beta - 1)*M
        return join_parts(states, added, changed, active, average)
