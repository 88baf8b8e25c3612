"""The Llama of a fused model in torch, in float32 or half precision: transformers' numbers, on any device.

The arithmetic is that of transformers' LlamaForCausalLM: RMSNorm (Zhang & Sennrich 2019), rotary positions (Su et al.
2021), grouped queries (Ainslie et al. 2023), SwiGLU (Shazeer 2020). It knows weights, pages and positions; nothing of
turns, text or time.

Shapes: t tokens of all turns, s wanted ones, d model width, g key-value heads, j query heads of each, k channels of a
head, n pages of p places, m pages of the longest turn, v vocabulary.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch.nn import functional

from vlbm.engine.compiling import Compiled
from vlbm.engine.fused import Fusing
from vlbm.engine.passes import ALONE, BESIDE, PAGE, Pass, Read, kept
from vlbm.engine.steps import Record, Recorder, Steps

# A GPU reads so many tokens nearly as fast as one.
AT_ONCE = 512


class Rows(NamedTuple):
    """What every layer has of the tokens of a pass.

    Attributes:
        cos, sin: of their positions [t,1,k/2].
        places: where their keys and values go [t].
        tables: pages of each one's turn [t,m].
        seen: which places of its turn each sees [t,1,1,m*p] bool.
    """

    cos: torch.Tensor
    sin: torch.Tensor
    places: torch.Tensor
    tables: torch.Tensor
    seen: torch.Tensor


class _Layer(NamedTuple):
    before: torch.Tensor
    qkv: torch.Tensor
    out: torch.Tensor
    after: torch.Tensor
    gate_up: torch.Tensor
    down: torch.Tensor
    keys: torch.Tensor  # [n,p,g,k], and so are values
    values: torch.Tensor


class DenseNetwork:
    """A network.

    Args:
        model: a `VLBMForConditionalGeneration` whose language model is a Llama.
        dtype: of all but the states between layers.
        pages: of the cache.
        record: how parts of a pass are recorded (`steps`); by default as graphs on a GPU, elsewhere not at all.
    """

    own_threads = False

    def __init__(self, model: Any, dtype: torch.dtype, *, pages: int, record: Record | None = None) -> None:
        llama, config = model.language_model, model.language_model.config
        self.pages, self.eps, self.fusing, self.dtype = pages, float(config.rms_norm_eps), Fusing(model), dtype
        self.embeddings = llama.model.embed_tokens.weight.detach()
        self.device = self.embeddings.device
        on_gpu = self.device.type == "cuda"
        self.beside, self.alone = (AT_ONCE, AT_ONCE) if on_gpu else (BESIDE, ALONE)
        shape = (pages + 1, PAGE, config.num_key_value_heads, config.head_dim)  # the last page is nobody's (`steps`)
        self.layers = [self._layer(layer, shape) for layer in llama.model.layers]
        self.norm, self.head = (w.detach().to(dtype) for w in (llama.model.norm.weight, llama.lm_head.weight))
        positions = torch.arange(config.max_position_embeddings, device=self.device).float()
        angles = torch.outer(positions, llama.model.rotary_emb.inv_freq.to(self.device)).unsqueeze(1)
        self.cos, self.sin = angles.cos(), angles.sin()
        self._asked: Any = Compiled(asked) if on_gpu else asked
        self._answered: Any = Compiled(answered) if on_gpu else answered
        ends = sorted({*self.fusing.number, len(self.layers) - 1})
        self._steps = Steps(self, ends, record or (Recorder() if on_gpu else None))

    def weight_bytes(self) -> int:
        """Of the matrices, which every pass reads."""
        matrices = (self.head, *(w for layer in self.layers for w in (layer.qkv, layer.out, layer.gate_up, layer.down)))
        return sum(int(weight.nbytes) for weight in matrices)

    @torch.inference_mode()
    def read(self, what: Pass) -> Read:
        """One pass."""
        step = self._steps.step(*what.tables.shape)
        step.begin(what)
        fused = self.fusing.of(step.states[: len(what.tokens)], what)
        for last, run in step.parts.items():
            run()
            if last in fused.layers:
                fused.fuse(last)
        wanted = what.wanted.to(self.device)
        last_states = step.states[wanted]
        logits, likeliest = self._steps.head(last_states).of(last_states)
        tokens, weights = torch.stack([likeliest.float(), fused.weights()[wanted]]).tolist()  # waits for all of it
        return Read(logits, [int(token) for token in tokens], weights)

    def embedded(self, tokens: torch.Tensor) -> torch.Tensor:
        """Ids [t] -> states [t,d]."""
        states: torch.Tensor = self.embeddings[tokens].float()
        return states

    def rows(self, positions: torch.Tensor, places: torch.Tensor, tables: torch.Tensor) -> Rows:
        """What layers have of tokens at some positions [t], which go to places [t] and have pages in tables [t,m]."""
        reach = torch.arange(tables.shape[1] * PAGE, device=self.device)
        seen = (reach <= positions[:, None])[:, None, None, :]
        return Rows(self.cos[positions], self.sin[positions], places, tables, seen)

    def through(self, states: torch.Tensor, rows: Rows, layers: range) -> torch.Tensor:
        """States [t,d] after some layers; the keys and values of their tokens are in the cache."""
        for layer in (self.layers[number] for number in layers):
            shape = layer.keys.shape[2:]
            queries, keys, values = self._asked(states, layer.before, layer.qkv, shape, rows[:2], self.eps)
            for cached, new in ((layer.keys, keys), (layer.values, values)):
                cached.view(-1, *new.shape[1:]).index_copy_(0, rows.places, new)
            states = self._answered(states, _attended(queries, layer, rows), *layer[2:6], self.eps)
        return states

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """States [s,d] -> logits [s,v]."""
        return functional.linear(_normal(states, self.norm, self.eps), self.head).float()

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


def asked(
    states: torch.Tensor,
    norm: torch.Tensor,
    qkv: torch.Tensor,
    shape: tuple[int, int],
    turn: tuple[torch.Tensor, torch.Tensor],
    eps: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What a layer asks of the tokens before, and what it tells those after.

    Args:
        states: [t,d].
        norm, qkv: weights.
        shape: g and k.
        turn: cosine and sine of the tokens' positions [t,1,k/2].
        eps: of the norm.

    Returns:
        Queries [t,g*j,k] and keys [t,g,k], turned to their positions; values [t,g,k].
    """
    g, k = shape
    heads = functional.linear(_normal(states, norm, eps), qkv).view(len(states), -1, k)
    one, other = heads[:, :-g].float().chunk(2, dim=-1)
    cos, sin = turn
    turned = torch.cat([one * cos - other * sin, other * cos + one * sin], dim=-1).to(heads.dtype)
    return turned[:, :-g], turned[:, -g:], heads[:, -g:]


def answered(
    states: torch.Tensor,
    read: torch.Tensor,
    out: torch.Tensor,
    norm: torch.Tensor,
    gate_up: torch.Tensor,
    down: torch.Tensor,
    eps: float,
) -> torch.Tensor:
    """States [t,d] with what was read of other tokens [t,g*j*k], and after the feed-forward."""
    states = states + functional.linear(read, out)
    gate, up = functional.linear(_normal(states, norm, eps), gate_up).chunk(2, dim=-1)
    return states + functional.linear(functional.silu(gate) * up, down)


def _normal(states: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    scaled = states * torch.rsqrt(states.pow(2).mean(dim=-1, keepdim=True) + eps)
    return weight * scaled.to(weight.dtype)


def _attended(queries: torch.Tensor, layer: _Layer, rows: Rows) -> torch.Tensor:
    """What queries [t,g*j,k] read in the cache [t,g*j*k]: those that share keys go together, as tokens would."""
    t, (_, _, g, k) = len(queries), layer.keys.shape
    keys, values = (cached[rows.tables].view(t, -1, g, k).transpose(1, 2) for cached in (layer.keys, layer.values))
    out = functional.scaled_dot_product_attention(queries.reshape(t, g, -1, k), keys, values, attn_mask=rows.seen)
    return out.reshape(t, -1)
