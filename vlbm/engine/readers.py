"""Which reader serves a model: paged for a Llama, and packed where few bits do and a compiler is there.

It knows what each needs, not how it works.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch

from vlbm.cache import default_cache_dir
from vlbm.engine.dense import DenseNetwork
from vlbm.engine.eager import EagerReader
from vlbm.engine.memory import check_memory
from vlbm.engine.packed.compiled import Step, library
from vlbm.engine.packed.network import PackedNetwork
from vlbm.engine.packed.weights import lossless
from vlbm.engine.paged import PagedReader
from vlbm.engine.passes import PAGE
from vlbm.engine.reader import Reader
from vlbm.errors import ConfigError

Precision = Literal["auto", "fp32", "bf16", "fp16", "int8", "int4"]
BITS = {"int4": 4, "int8": 8}
DENSE = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
ROWS = 512  # tokens of a pass: prompts in pieces, and the answers beside them


def reader(model: Any, precision: Precision, tokens: int, rows: int = ROWS) -> tuple[Reader[Any], str]:
    """A reader, and the precision that it has.

    "auto" is the fewest bits that lose nothing of the weights, as those that were quantised before; else float32, or on
    a GPU bfloat16 (float16 where it has none). Where there is no compiler, weights of few bits are read as bfloat16.

    Args:
        model: a `VLBMForConditionalGeneration`.
        precision: of the language model's weights.
        tokens: of all texts together, that the cache has room for.
        rows: tokens of a pass at most.

    Raises:
        ConfigError: there is no such precision, or not for this model.
        NotEnoughMemory: it would not fit; the message says what it needs.
    """
    if precision not in get_args(Precision):
        raise ConfigError(f"unknown precision {precision!r}: use one of {', '.join(get_args(Precision))}")
    if not _is_llama(model):
        return EagerReader(model, tokens), "fp32"
    on_cpu, pages = model.device.type == "cpu", -(-tokens // PAGE)
    made = library(default_cache_dir() / "compiled") if on_cpu and precision not in DENSE else None
    step = Step(made, torch.get_num_threads()) if made else None
    if step and precision == "auto":
        precision = lossless(step, model) or "fp32"
    if step and precision in BITS:
        check_memory(model, precision, tokens)
        network = PackedNetwork(model, step, bits=BITS[precision], pages=pages, rows=rows)
        return PagedReader(network), precision
    dense = _dense(precision, on_cpu=on_cpu)
    check_memory(model, dense, tokens)
    return PagedReader(DenseNetwork(model, DENSE[dense], pages=pages)), dense


def _dense(precision: Precision, *, on_cpu: bool) -> str:
    """The precision of weights that are not packed."""
    if precision in DENSE:
        return precision
    if precision == "auto" and on_cpu:
        return "fp32"
    return "bf16" if on_cpu or torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def _is_llama(model: Any) -> bool:
    """Whether the language model is a plain Llama, whose arithmetic the networks here have, fused after its layers."""
    config = model.language_model.config
    if config.model_type != "llama":
        return False
    plain = not (config.attention_bias or config.mlp_bias)
    rotary = (config.rope_parameters or {}).get("rope_type", "default") == "default"
    adapted = any("lora_" in name for name, _ in model.language_model.named_parameters())
    return plain and rotary and config.hidden_act == "silu" and bool(model.config.fusion_layers) and not adapted
