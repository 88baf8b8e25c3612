"""The Llama of a fused model with weights of 4 or 8 bits: layers run in `step.cpp`, fusions between them in torch.

It knows weights, pages and positions; nothing of turns, text or time.

Shapes: t tokens of all turns, s wanted ones, d model width, f of the feed-forward, h heads, g key-value heads, k
channels of a head, v vocabulary.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch

from vlbm.engine.fused import Fusing
from vlbm.engine.packed.compiled import Layer, Net, Rows, Step
from vlbm.engine.packed.weights import GROUP, Packed, packed
from vlbm.engine.passes import ALONE, BESIDE, PAGE, Pass, Read, kept, likeliest
from vlbm.errors import ConfigError

HEAD_BITS = 8  # the vocabulary is left in 8 bits, as GGUF's mixes do: there each output is a whole answer
CHANNELS = (16, 64, 128)


class PackedNetwork:
    """A network.

    Args:
        model: a `VLBMForConditionalGeneration` whose language model is a Llama.
        step: of `compiled`.
        bits: of the weights, 4 or 8.
        pages: of the cache.
        rows: most tokens of a pass.
    """

    own_threads = True
    beside, alone = BESIDE, ALONE

    def __init__(self, model: Any, step: Step, *, bits: int, pages: int, rows: int) -> None:
        llama, config = model.language_model, model.language_model.config
        self.step, self.pages, self.rows = step, pages, rows
        self.fusing = Fusing(model)
        self.embeddings = llama.model.embed_tokens.weight.detach().float()
        d, f, h, g = (
            config.hidden_size,
            config.intermediate_size,
            config.num_attention_heads,
            config.num_key_value_heads,
        )
        k = config.head_dim
        if k not in CHANNELS:
            raise ConfigError(f"heads of {k} channels cannot be packed: use precision 'fp32' or 'bf16'")
        self._held: list[Any] = []
        self._layers = (Layer * len(llama.model.layers))(
            *(self._layer(layer, bits, pages, g, k) for layer in llama.model.layers)
        )
        angles = torch.outer(torch.arange(config.max_position_embeddings).float(), llama.model.rotary_emb.inv_freq)
        self._net = Net(
            ctypes.addressof(self._layers),
            self._address(llama.model.norm.weight.detach().float()),
            self._matrix(packed(step, llama.lm_head.weight, HEAD_BITS)),
            self._address(angles.cos()),
            self._address(angles.sin()),
            *(d, f, h, g, k),
            config.rms_norm_eps,
        )
        self.vocabulary, widest = int(config.vocab_size), max(d, h * k, f)
        room = [torch.empty(rows, width) for width in ((h + 2 * g) * k, h * k, 2 * f)]
        numbers = torch.empty(rows, 2 * widest, dtype=torch.int8)
        groups = [torch.empty(rows, widest // GROUP) for _ in range(2)]
        self._room = [self._address(tensor) for tensor in (*room, numbers, *groups)]

    def weight_bytes(self) -> int:
        """Of the matrices, which every pass reads."""
        return sum(one.nbytes() for one in self._held if isinstance(one, Packed))

    @torch.inference_mode()
    def read(self, what: Pass) -> Read:
        """One pass."""
        states = self.embeddings[what.tokens]
        fused = self.fusing.of(states, what)
        rows = self._rows(states, what)
        done = 0
        for layer in fused.layers:
            self.step.read_layers(ctypes.addressof(self._net), done, layer + 1, ctypes.addressof(rows))
            fused.fuse(layer)
            done = layer + 1
        many = len(self._layers)
        self.step.read_layers(ctypes.addressof(self._net), done, many, ctypes.addressof(rows))
        logits = self._head(states, rows, what.wanted)
        return Read(logits, likeliest(logits).tolist(), fused.weights()[what.wanted].tolist())

    def _head(self, states: torch.Tensor, rows: Rows, wanted: torch.Tensor) -> torch.Tensor:
        last = states[wanted]
        logits = torch.empty(len(last), self.vocabulary)
        rows.states, rows.t = last.data_ptr(), len(last)
        if len(last):
            self.step.read_head(ctypes.addressof(self._net), ctypes.addressof(rows), logits.data_ptr())
        return logits

    def _rows(self, states: torch.Tensor, what: Pass) -> Rows:
        if len(states) > self.rows:
            raise ValueError(f"a pass takes {self.rows} tokens, got {len(states)}")
        pointers = (tensor.data_ptr() for tensor in (states, what.positions, what.places, what.tables))
        return Rows(*pointers, len(states), what.tables.shape[1], *self._room)

    def _layer(self, layer: Any, bits: int, pages: int, g: int, k: int) -> Layer:
        attention, mlp = layer.self_attn, layer.mlp
        qkv = torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight])
        gate_up = torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight])
        return Layer(
            self._address(layer.input_layernorm.weight.detach().float()),
            self._address(layer.post_attention_layernorm.weight.detach().float()),
            *(
                self._matrix(packed(self.step, w, bits))
                for w in (qkv, attention.o_proj.weight, gate_up, mlp.down_proj.weight)
            ),
            self._address(kept((pages, g, k, PAGE), torch.float16)),
            self._address(kept((pages, g, PAGE, k), torch.float16)),
        )

    def _matrix(self, weight: Packed) -> Any:
        self._held.append(weight)
        return weight.matrix()

    def _address(self, tensor: torch.Tensor) -> int:
        self._held.append(tensor := tensor.contiguous())
        return tensor.data_ptr()
