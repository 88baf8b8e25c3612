"""Answers of a given form: JSON that keeps to a schema.

llguidance (github.com/guidance-ai/llguidance) says which tokens may come next. It knows tokens and schemas, not models.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch

from vlbm.errors import ConfigError


class Grammars:
    """Makes grammars for one tokenizer; its table of tokens is made once, when it is first wanted.

    Args:
        tokenizer: a fast tokenizer of transformers.
        vocabulary: how many logits a model has; more than the tokenizer has tokens at times.
    """

    def __init__(self, tokenizer: Any, vocabulary: int) -> None:
        self._tokenizer, self._vocabulary = tokenizer, vocabulary

    def of(self, schema: Mapping[str, Any], begun: Sequence[int]) -> Grammar:
        """The grammar of an answer.

        Args:
            schema: JSON schema (json-schema.org, draft 2020-12, as far as llguidance has it).
            begun: tokens of the answer that were said before.

        Raises:
            ConfigError: the schema cannot be followed, or what was said before breaks it.
        """
        from llguidance import LLMatcher

        matcher = LLMatcher(self._tokens, LLMatcher.grammar_from_json_schema(json.dumps(schema)), log_level=0)
        if matcher.is_error():
            raise ConfigError(f"the answer's schema cannot be followed: {_first_line(matcher)}")
        if not matcher.consume_tokens(list(begun)):
            raise ConfigError("what was said of the answer before does not keep to its schema")
        return Grammar(matcher, self._vocabulary)

    @cached_property
    def _tokens(self) -> Any:
        from llguidance.hf import from_tokenizer

        return from_tokenizer(self._tokenizer, self._vocabulary)


class Grammar:
    """Which tokens may come next in one answer."""

    def __init__(self, matcher: Any, vocabulary: int) -> None:
        self._matcher, self._vocabulary = matcher, vocabulary

    def allowed(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits [v] without what may not come."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        may = np.unpackbits(bits, bitorder="little", count=self._vocabulary).astype(bool)
        return logits.masked_fill(~torch.from_numpy(may), -torch.inf)

    def take(self, token: int) -> None:
        """A token was said."""
        self._matcher.consume_token(token)


def _first_line(matcher: Any) -> str:
    return str(matcher.get_error()).strip().splitlines()[0]
