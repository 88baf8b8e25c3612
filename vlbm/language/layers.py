"""Where a transformers causal language model keeps its layers, and how much it holds.

Both are found without renaming or wrapping anything, so the model's keys stay as they were.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from vlbm.errors import ConfigError

_CONTEXTS = ("max_position_embeddings", "n_positions", "seq_length", "max_seq_len")
UNBOUNDED = 2048


def decoder_layers(model: nn.Module) -> nn.ModuleList:
    """The decoder layers of a transformers causal language model, in order.

    They are the first list of modules that is as long as the configuration says the model is deep.

    Raises:
        ConfigError: there is no such list.
    """
    depth = getattr(getattr(model, "config", None), "num_hidden_layers", None)
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == depth:
            return module
    raise ConfigError(
        f"{type(model).__name__} has no list of {depth} decoder layers to fuse: use a causal language model of "
        "transformers that keeps its layers in one list"
    )


def context_tokens(text_config: Any) -> int:
    """How many tokens of question and answer together a language model holds.

    Models without places (Bloom, Mamba) have no end of their own: for them it is `UNBOUNDED`.
    """
    return next((int(value) for name in _CONTEXTS if (value := getattr(text_config, name, None))), UNBOUNDED)
