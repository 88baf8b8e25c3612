"""Sizes of a recurrent language model, as transformers saves and loads them."""

from __future__ import annotations

from typing import Any

import vlbm._torchvision  # noqa: F401 (must run before transformers)

# isort: split
from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig

from vlbm.errors import ConfigError

CELLS = ("gru", "lstm")


@strict
class RecurrentConfig(PreTrainedConfig):  # type: ignore[no-untyped-call]
    """Sizes.

    Attributes:
        cell: "gru" (Cho et al. 2014) or "lstm" (Hochreiter and Schmidhuber 1997).
        hidden_size: d, of the embeddings and of each layer's state.
        max_position_embeddings: tokens that prompt and answer may have together; nothing in the model depends on it.
        dropout: on each layer's output, in training.
    """

    model_type = "vlbm_recurrent"

    cell: str = "gru"
    vocab_size: int = 4096
    hidden_size: int = 256
    num_hidden_layers: int = 2
    max_position_embeddings: int = 1024
    dropout: float = 0.1
    initializer_range: float = 0.05
    use_cache: bool = True
    bos_token_id: int | None = 0
    eos_token_id: int | list[int] | None = 1
    pad_token_id: int | None = 2
    tie_word_embeddings: bool = True

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]
        if self.cell not in CELLS:
            raise ConfigError(f"unknown cell {self.cell!r}: use one of {list(CELLS)}")


AutoConfig.register(RecurrentConfig.model_type, RecurrentConfig, exist_ok=True)
