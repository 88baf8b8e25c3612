"""Chooses the next token from logits: greedy, or by temperature, top-k and nucleus, with its own random numbers."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from vlbm.engine.grammar import Grammar
from vlbm.engine.request import GenerationRequest


class Sampler:
    """The choices of one answer. Logits are [vocabulary]; a generator of its own makes a seed reproducible."""

    def __init__(
        self,
        request: GenerationRequest,
        prompt: Iterable[int],
        ends: Iterable[int] = (),
        grammar: Grammar | None = None,
    ) -> None:
        self.request, self.ends, self.grammar = request, frozenset(ends), grammar
        self.seen, self.count = set(prompt), 0
        self.generator = torch.Generator()
        if request.seed is None:
            self.generator.seed()
        else:
            self.generator.manual_seed(request.seed)

    def choose(self, logits: torch.Tensor, likeliest: int) -> int:
        """The next token id, by logits [v], wherever they are, and the token of the highest."""
        token = likeliest if self._takes(likeliest) else self._chosen(logits.cpu())
        if self.grammar:
            self.grammar.take(token)
        self.seen.add(token)
        self.count += 1
        return token

    def _takes(self, likeliest: int) -> bool:
        """Whether it is that token whatever the others' logits are."""
        plain = self.request.temperature == 0 and self.request.repetition_penalty == 1 and not self.grammar
        return plain and not (likeliest in self.ends and self._too_short)

    @property
    def _too_short(self) -> bool:
        return self.count < self.request.min_tokens

    def _chosen(self, logits: torch.Tensor) -> int:
        scores = self._penalise(logits)
        if self.grammar:  # which ends the answer where it has to
            scores = self.grammar.allowed(scores)
        elif self._too_short:
            scores = scores.index_fill(0, torch.tensor(sorted(self.ends)), -torch.inf)
        return int(scores.numpy().argmax()) if self.request.temperature == 0 else self._draw(scores)

    def _penalise(self, logits: torch.Tensor) -> torch.Tensor:
        """Divide positive and multiply negative logits of seen tokens by the penalty, as transformers does."""
        penalty = self.request.repetition_penalty
        if penalty == 1.0:
            return logits
        seen = torch.tensor(sorted(self.seen))
        picked = logits[seen]
        scores = logits.clone()
        scores[seen] = torch.where(picked > 0, picked / penalty, picked * penalty)
        return scores

    def _draw(self, scores: torch.Tensor) -> int:
        if 0 < self.request.top_k < len(scores):
            least = scores.topk(self.request.top_k).values[-1]
            scores = scores.masked_fill(scores < least, -torch.inf)
        probabilities = (scores.float() / self.request.temperature).softmax(dim=-1)
        ordered, order = probabilities.sort(descending=True)
        # A token stays while the mass before it is below top_p: the likeliest always does.
        ordered[ordered.cumsum(dim=0) - ordered >= self.request.top_p] = 0
        return int(order[torch.multinomial(ordered, 1, generator=self.generator)])
