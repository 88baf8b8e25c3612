"""The Llama of a fused model in float32 or bfloat16, in torch: the same numbers as transformers, on any device.

The arithmetic is that of transformers' LlamaForCausalLM: RMSNorm (Zhang & Sennrich 2019), rotary positions (Su et al.
2021), grouped queries (Ainslie et al. 2023), SwiGLU (Shazeer 2020). It knows weights, pages and positions; nothing of
turns, text or time.

Shapes: t tokens of all turns, d model width, h heads, g key-value heads, k channels of a head, n pages of p places.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch.nn import functional

from vlbm.engine.fused import Fusing
from vlbm.engine.passes import PAGE, Pass, Read, kept


class _Layer(NamedTuple):
    before: torch.Tensor
    qkv: torch.Tensor
    out: torch.Tensor
    after: torch.Tensor
    gate_up: torch.Tensor
    down: torch.Tensor
    keys: torch.Tensor  # [n,g,p,k], and so are values
    values: torch.Tensor


class DenseNetwork:
    """A network.

    Args:
        model: a `VLBMForConditionalGeneration` whose language model is a Llama.
        dtype: float32 or bfloat16, of all but the states between layers.
        pages: of the cache.
    """

    own_threads = False

    def __init__(self, model: Any, dtype: torch.dtype, *, pages: int) -> None:
        llama, config = model.language_model, model.language_model.config
        self.pages, self.eps, self.fusing, self.dtype = pages, float(config.rms_norm_eps), Fusing(model), dtype
        self.embeddings = llama.model.embed_tokens.weight.detach()
        self.device = self.embeddings.device
        shape = (pages, config.num_key_value_heads, PAGE, config.head_dim)
        self.layers = [self._layer(layer, shape) for layer in llama.model.layers]
        self.norm, self.head = (w.detach().to(dtype) for w in (llama.model.norm.weight, llama.lm_head.weight))
        positions = torch.arange(config.max_position_embeddings, device=self.device).float()
        angles = torch.outer(positions, llama.model.rotary_emb.inv_freq.to(self.device))
        self.cos, self.sin = angles.cos(), angles.sin()

    def weight_bytes(self) -> int:
        """Of the matrices, which every pass reads."""
        matrices = (self.head, *(w for layer in self.layers for w in (layer.qkv, layer.out, layer.gate_up, layer.down)))
        return sum(int(weight.nbytes) for weight in matrices)

    @torch.inference_mode()
    def read(self, what: Pass) -> Read:
        """One pass."""
        there = what.to(self.device)
        states = self.embeddings[there.tokens].float()
        fused = self.fusing.of(states, there)
        for number, layer in enumerate(self.layers):
            qkv = functional.linear(self._normal(states, layer.before), layer.qkv)
            states += functional.linear(self._attend(self._turned(qkv, layer, there), layer, there), layer.out)
            gate, up = functional.linear(self._normal(states, layer.after), layer.gate_up).chunk(2, dim=-1)
            states += functional.linear(functional.silu(gate) * up, layer.down)
            if number in fused.layers:
                fused.fuse(number)
        logits = functional.linear(self._normal(states[there.wanted], self.norm), self.head)
        return Read(logits.float().cpu(), fused.weights()[there.wanted].cpu())

    def _normal(self, states: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        scaled = states * torch.rsqrt(states.pow(2).mean(dim=-1, keepdim=True) + self.eps)
        return weight * scaled.to(self.dtype)

    def _turned(self, qkv: torch.Tensor, layer: _Layer, what: Pass) -> torch.Tensor:
        """Queries [t,h,k] turned to their positions; keys are too, and put into the cache with the values."""
        _, g, _, k = layer.keys.shape
        heads = qkv.view(len(qkv), -1, k)
        one, other = heads[:, :-g].float().chunk(2, dim=-1)
        cos, sin = self.cos[what.positions].unsqueeze(1), self.sin[what.positions].unsqueeze(1)
        turned = torch.cat([one * cos - other * sin, other * cos + one * sin], dim=-1).to(self.dtype)
        page, place = what.places // PAGE, what.places % PAGE
        layer.keys[page, :, place] = turned[:, -g:]
        layer.values[page, :, place] = heads[:, -g:]
        return turned[:, :-g]

    def _attend(self, queries: torch.Tensor, layer: _Layer, what: Pass) -> torch.Tensor:
        t, (_, g, _, k) = len(queries), layer.keys.shape
        pages = what.tables.long()
        keys, values = (cached[pages].transpose(1, 2).reshape(t, g, -1, k) for cached in (layer.keys, layer.values))
        seen = torch.arange(keys.shape[2], device=self.device) <= what.positions[:, None]
        out = functional.scaled_dot_product_attention(
            queries.unsqueeze(2), keys, values, attn_mask=seen[:, None, None, :], enable_gqa=True
        )
        return out.reshape(t, -1)

    def _layer(self, layer: Any, shape: tuple[int, ...]) -> _Layer:
        attention, mlp = layer.self_attn, layer.mlp
        weights = (
            layer.input_layernorm.weight,
            torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]),
            attention.o_proj.weight,
            layer.post_attention_layernorm.weight,
            torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]),
            mlp.down_proj.weight,
        )
        cached = (kept(shape, self.dtype, self.device) for _ in range(2))
        return _Layer(*(weight.detach().to(self.dtype) for weight in weights), *cached)
