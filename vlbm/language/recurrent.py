"""Recurrent language models from scratch: a GRU (Cho et al. 2014) and an LSTM (Hochreiter and Schmidhuber 1997)."""

from __future__ import annotations

from functools import partial

from vlbm.language.spec import MARKS, LanguageSpec, Sizes
from vlbm.recurrent import model as _model  # noqa: F401 (registers the model with transformers)
from vlbm.recurrent.config import CELLS, RecurrentConfig


def new(cell: str, sizes: Sizes) -> RecurrentConfig:
    """The configuration of one of these sizes; heads are not used."""
    return RecurrentConfig(
        cell=cell,
        vocab_size=sizes.vocabulary,
        num_hidden_layers=sizes.layers,
        hidden_size=sizes.width,
        max_position_embeddings=sizes.context,
        dropout=sizes.dropout,
        **MARKS,
    )


RECURRENT = tuple(LanguageSpec(name=cell, new=partial(new, cell)) for cell in CELLS)
