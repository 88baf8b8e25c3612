"""GPT-2 (Radford et al. 2019) from scratch; its trained weights are a hub's."""

from __future__ import annotations

from transformers import GPT2Config

from vlbm.language.spec import MARKS, LanguageSpec, Sizes


def new(sizes: Sizes) -> GPT2Config:
    """The configuration of one of these sizes."""
    return GPT2Config(
        vocab_size=sizes.vocabulary,
        n_layer=sizes.layers,
        n_embd=sizes.width,
        n_head=sizes.heads,
        n_positions=sizes.context,
        resid_pdrop=sizes.dropout,
        embd_pdrop=sizes.dropout,
        attn_pdrop=sizes.dropout,
        **MARKS,
    )


GPT2 = LanguageSpec(name="gpt2", new=new)
