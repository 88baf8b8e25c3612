"""One answer as it comes: from logits to pieces of text, to its end.

It knows a request and a tokenizer, not a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch

from vlbm.engine.grammar import Grammar
from vlbm.engine.request import GenerationRequest, Token
from vlbm.engine.sampling import Sampler
from vlbm.engine.text import Detokenizer
from vlbm.errors import EngineFailed


class Answer:
    """What is said.

    Attributes:
        text: so far.
        count: tokens so far, that which ended it included.
        reason: why it ended; None while it has not.
    """

    def __init__(
        self,
        request: GenerationRequest,
        prompt: Sequence[int],
        *,
        tokenizer: Any,
        ends: frozenset[int],
        pictured: bool,
        grammar: Grammar | None = None,
    ) -> None:
        self._request, self._ends, self._pictured = request, ends, pictured
        self._sampler, self._decoded = Sampler(request, prompt, ends, grammar), Detokenizer(tokenizer, request.stop)
        self.text, self.count = "", 0
        self.reason: Literal["stop", "length"] | None = None

    @property
    def greedy(self) -> bool:
        """Whether it takes the likeliest token, so that it can be guessed ahead exactly."""
        return self._request.temperature == 0 and self._request.repetition_penalty == 1

    def next(self, logits: torch.Tensor, likeliest: int, weight: float) -> tuple[int, list[Token]]:
        """Choose a token; the token, and what is said by it.

        Args:
            logits: of all tokens [v].
            likeliest: the one of the highest logit; -1 where they are no numbers.
            weight: the pictures' share in it.

        Raises:
            EngineFailed: the logits are no numbers.
        """
        if likeliest < 0:
            raise EngineFailed("the model computed what is not a number for this turn; ask again or shorten it")
        token = self._sampler.choose(logits, likeliest)
        self.count += 1
        if token in self._ends:
            self.reason = "stop"
            return token, self._said(self._decoded.finish(), token, weight, always=False)
        piece, last = self._decoded.push(token), self.count == self._request.max_tokens
        if self._decoded.stopped or last:
            piece += self._decoded.finish()
            self.reason = "stop" if self._decoded.stopped else "length"
        return token, self._said(piece, token, weight, always=True)

    def _said(self, piece: str, token: int, weight: float, *, always: bool) -> list[Token]:
        self.text += piece
        return [Token(piece, token, weight if self._pictured else None)] if piece or always else []
