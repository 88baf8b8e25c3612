"""What a model is made of: its parts, the shapes between them, parameters and memory.

It looks at a loaded model, and knows nothing of where it came from.

Shapes: b batch, t text tokens, n grid cells, d_v encoder width, d model width.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch

from vlbm.language import context_tokens
from vlbm.training.fit import PARTS


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a model.

    Attributes:
        name: as in the model's keys.
        what: in words.
        shape: what goes in and comes out.
        parameters: all of them.
        trainable: those that `vlbm train` trains by default.
        bytes: of parameters and buffers.
    """

    name: str
    what: str
    shape: str
    parameters: int
    trainable: int
    bytes: int


def describe(model: Any) -> tuple[Part, ...]:
    """The parts of a model, and `total`."""
    config, text = model.config, model.config.text_config
    spec = config.encoder_spec
    d, side, cells = text.hidden_size, spec.image_size, f"[b,{spec.cells},{spec.width}]"
    where = ", ".join(map(str, config.fusion_layers))
    fused = f"after layer{'s' * (len(config.fusion_layers) > 1)} {where}" if where else "before the first layer"
    rows = {
        "language_model": (
            f"{text.model_type}, {text.num_hidden_layers} layers, {context_tokens(text)} tokens of context",
            f"[b,t] -> [b,t,{d}] -> [b,t,{text.vocab_size}]",
        ),
        "encoder": (spec.name, f"[b,3,{side},{side}] -> {cells}"),
        "evidence": (
            f"{config.class_groups} everyday names, visual memory of {config.memory_pictures} pictures",
            f"[b,{spec.classes}], [b,{spec.width}] -> [b,e] tokens",
        ),
        "memory": ("projection of grid and evidence", f"{cells}, [b,e] -> [b,{spec.cells}+e,{d}]"),
        "fusions": (
            f"{config.fusion} {fused}",
            f"[b,t,{d}], [b,{spec.cells}+e,{d}] -> [b,t,{d}]",
        ),
    }
    parts = tuple(_part(name, *words, getattr(model, name)) for name, words in rows.items())
    return (*parts, _total(parts))


def _part(name: str, what: str, shape: str, module: torch.nn.Module) -> Part:
    parameters = list(module.parameters())
    count = sum(p.numel() for p in parameters)
    trained = count if f"{name}." in PARTS["fusion"] else 0
    return Part(name, what, shape, count, trained, _bytes([*parameters, *module.buffers()]))


def _bytes(tensors: Iterable[torch.Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _total(parts: Iterable[Part]) -> Part:
    sums = [sum(getattr(part, name) for part in parts) for name in ("parameters", "trainable", "bytes")]
    return Part("total", "", "", *sums)


def bytes_a_token(text_config: Any, element_size: int = 4) -> int:
    """Bytes that the cache takes for each token of context.

    Keys and values of each layer: heads times their width (fewer heads where queries share them). A recurrent model
    keeps its states in their place.
    """
    heads = int(getattr(text_config, "num_attention_heads", 1))
    width = int(getattr(text_config, "head_dim", None) or text_config.hidden_size // heads)
    shared = int(getattr(text_config, "num_key_value_heads", None) or heads)
    return 2 * int(text_config.num_hidden_layers) * shared * width * element_size
