"""A Llama (Touvron et al. 2023) from scratch, with tied embeddings; trained ones come from a hub or a folder."""

from __future__ import annotations

from transformers import LlamaConfig

from vlbm.language.spec import MARKS, LanguageSpec, Sizes


def new(sizes: Sizes) -> LlamaConfig:
    """The configuration of one of these sizes; the family has dropout on attention only."""
    return LlamaConfig(
        vocab_size=sizes.vocabulary,
        num_hidden_layers=sizes.layers,
        hidden_size=sizes.width,
        intermediate_size=4 * sizes.width,
        num_attention_heads=sizes.heads,
        max_position_embeddings=sizes.context,
        attention_dropout=sizes.dropout,
        tie_word_embeddings=True,
        **MARKS,
    )


LLAMA = LanguageSpec(name="llama", new=new)
