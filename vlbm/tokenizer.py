"""A tokenizer of one's own: byte-level BPE, trained by the library `tokenizers` on one's own texts.

Every text round-trips, whatever its script, because bytes are the smallest tokens (Radford et al. 2019, section 2.2).
It knows texts, not pictures or models.
"""

from __future__ import annotations

from collections.abc import Iterable

import vlbm._torchvision  # noqa: F401 (must run before transformers)

# isort: split
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from vlbm.errors import ConfigError

START, END, PAD = "<|im_start|>", "<|im_end|>", "<|pad|>"
FEWEST = 256 + 3  # the bytes and the three marks


def train_tokenizer(texts: Iterable[str], vocab_size: int = 4096) -> PreTrainedTokenizerFast:
    """Train a tokenizer; the same texts in the same order give the same one.

    The marks of a chat, <|im_start|> and <|im_end|>, have ids 0 and 1; <|pad|> has 2.

    Raises:
        ConfigError: the vocabulary has no room for all bytes.
    """
    if vocab_size < FEWEST:
        raise ConfigError(f"vocab_size must be at least {FEWEST}, got {vocab_size}")
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[START, END, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=made,
        bos_token=START,
        eos_token=END,
        pad_token=PAD,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )
