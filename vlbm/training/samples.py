"""Training samples: what is seen of a picture, a question about it, and the answer that the evidence supports.

Three sources. *Stamps*: real renderings with the encoder's real evidence; the answer is the stamp's caption as far as
the evidence supports it, and says that it cannot tell where it does not. *Names*: all classes of the encoder with
made-up but plausible profiles of probability, so that every name can be spoken. *Captions*: invented captions of
very similar neighbours, so that a memory that grows later is believed. Evidence is dropped and shuffled, so
that each kind is learnt alone and together.

It knows evidence and answers; it knows nothing of the language model's forward or of optimisation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from vlbm.data.stamps import Stamp
from vlbm.evidence.names import Names, to_tokens
from vlbm.evidence.table import CAPTION, FINE, GROUP, EvidenceTable, Runs
from vlbm.training.phrases import BARE, Belief, with_article
from vlbm.training.renderings import NOTHING, Renderings

ADJECTIVES = (
    *(
        "red",
        "blue",
        "green",
        "yellow",
        "white",
        "black",
        "brown",
        "grey",
        "pink",
        "orange",
        "purple",
        "small",
        "large",
    ),
    *("big", "little", "old", "new", "wooden", "metal", "plastic", "round", "tall", "shiny", "striped", "spotted"),
    *("broken", "open", "closed", "young", "colourful"),
)
FUNCTION_WORDS = frozenset(["a", "an", "the", "of", "with", "in", "on", "and", "two", "three", "some", "pair"])


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture's evidence and what is believed of it.

    Attributes:
        rendering: index into the renderings, for the grid.
        use_grid: whether the grid is shown.
        runs: evidence of one picture, [r,...] without the batch dimension.
        belief: what the answer may say.
    """

    rendering: int
    use_grid: bool
    runs: Runs
    belief: Belief


class Sampler:
    """Draws samples. Everything random comes from the generator that is passed in, so a step can be drawn again."""

    def __init__(
        self,
        table: EvidenceTable,
        names: Names,
        stamps: list[Stamp],
        renderings: Renderings,
        tokenizer: Any,
        classifier: torch.Tensor,
    ) -> None:
        self.table, self.names, self.stamps = table, names, stamps
        self.renderings, self.tokenizer = renderings, tokenizer
        direction = torch.nn.functional.normalize(classifier, dim=1)
        self.likeness = direction @ direction.T  # [c,c]
        self.members = [
            [index for index, group in enumerate(names.group_of_class) if group == place]
            for place in range(len(names.groups))
        ]
        heads: dict[str, list[int]] = {}
        for index, stamp in enumerate(stamps):
            heads.setdefault(stamp.head, []).append(index)
        self.same_head = {head: torch.tensor(found) for head, found in heads.items()}

    def draw(self, allowed: list[int], rng: np.random.Generator) -> Sample:
        """A sample of any source; `allowed` are the renderings that may be asked about."""
        source = rng.choice(["stamp", "name", "caption"], p=[0.45, 0.43, 0.12])
        if source == "name":
            return self.name(rng)
        if source == "caption":
            return self.caption(rng)
        while True:
            sample = self.stamp(allowed[int(rng.integers(len(allowed)))], rng)
            if sample is not None:
                return sample

    def stamp(self, rendering: int, rng: np.random.Generator) -> Sample | None:
        """A real rendering; None where confident evidence contradicts the caption and nothing supports it."""
        owner = int(self.renderings.stamp[rendering])
        exclude = torch.zeros(1, len(self.stamps), dtype=torch.bool)
        if owner != NOTHING and rng.random() < 0.8:
            exclude[0, owner] = True
            if rng.random() < 0.35:
                exclude[0, self.same_head[self.stamps[owner].head]] = True
        runs = self._drop(self._find(rendering, exclude), rng)
        belief = Belief(None, 0.0) if owner == NOTHING else self._supported(self.stamps[owner], runs)
        if owner != NOTHING and belief.phrase is None and float(runs.confidence.max()) > 0.3:
            return None
        return Sample(rendering, bool(rng.random() < 0.75), runs, belief)

    def name(self, rng: np.random.Generator) -> Sample:
        """A class with a made-up profile of probabilities, beside neighbours that do not fit."""
        group = int(rng.integers(len(self.names.groups)))
        true = int(rng.choice(self.members[group]))
        sure = float(
            rng.choice([rng.uniform(0.45, 0.995), rng.uniform(0.2, 0.5), rng.uniform(0.05, 0.25)], p=[0.6, 0.27, 0.13])
        )
        logits = self._profile(true, group, sure, rng)
        rendering = int(rng.integers(len(self.renderings.stamp)))
        exclude = torch.zeros(1, len(self.stamps), dtype=torch.bool)
        found = self.table.find(logits[None], self.renderings.pooled[rendering][None], exclude=exclude)
        runs = _one(found)
        unlike = torch.from_numpy(
            np.sort(rng.uniform(0.12, 0.45, int((runs.kind == CAPTION).sum())))[::-1].copy()
        ).float()
        runs.confidence[runs.kind == CAPTION] = unlike
        return Sample(rendering, bool(rng.random() < 0.5), self._drop(runs, rng, keep=GROUP), self._believed(runs))

    def caption(self, rng: np.random.Generator) -> Sample:
        """An invented caption of a very similar neighbour, beside class names that do not fit."""
        rendering = int(rng.integers(len(self.renderings.stamp)))
        runs = self._find(rendering, torch.zeros(1, len(self.stamps), dtype=torch.bool))
        name = str(rng.choice(self.names.classes))
        plain = name in BARE
        words = [] if plain or rng.random() < 0.4 else [str(rng.choice(ADJECTIVES))]
        phrase = name if plain else with_article(" ".join([*words, name]))
        place = int((runs.kind == CAPTION).nonzero()[0])
        length = runs.tokens.shape[1]
        runs.tokens[place] = to_tokens([phrase], self.tokenizer, length)[0].long()
        similarity = float(rng.uniform(0.62, 0.98))
        runs.confidence[place] = similarity
        runs.confidence[place + 1 :] = runs.confidence[place + 1 :].clamp_max(similarity * 0.8)
        runs.confidence[:place] *= 0.5
        return Sample(
            rendering,
            bool(rng.random() < 0.5),
            self._drop(runs, rng, keep=CAPTION),
            Belief(phrase, from_similarity(similarity)),
        )

    def _find(self, rendering: int, exclude: torch.Tensor) -> Runs:
        row = slice(rendering, rendering + 1)
        return _one(self.table.find(self.renderings.logits[row], self.renderings.pooled[row], exclude=exclude))

    def _profile(self, true: int, group: int, sure: float, rng: np.random.Generator) -> torch.Tensor:
        """Log probabilities [c]: `sure` within the true group, the rest on classes whose directions are alike."""
        sharpness = float(rng.uniform(6, 25))
        noise = torch.from_numpy(rng.normal(0, 1.5, len(self.names.classes))).float()
        weights = (self.likeness[true] * sharpness + noise).softmax(dim=0)
        inside = torch.zeros(len(self.names.classes), dtype=torch.bool)
        inside[self.members[group]] = True
        within = torch.where(inside, weights, 0.0)
        within[true] += float(within.sum()) * float(rng.uniform(0, 4))
        outside = torch.where(inside, 0.0, weights)
        return (within / within.sum() * sure + outside / outside.sum() * (1 - sure)).clamp_min(1e-9).log()

    def _believed(self, runs: Runs) -> Belief:
        """What an honest reader says of class names alone."""
        groups = (runs.kind == GROUP).nonzero()[:, 0].tolist()
        best, second = groups[0], groups[1]
        confidence = float(runs.confidence[best])
        phrase = with_article(self._text(runs, best))
        other = with_article(self._text(runs, second)) if float(runs.confidence[second]) > 0.5 * confidence else None
        fine = None
        for place in (runs.kind == FINE).nonzero()[:1, 0].tolist():
            name = self._text(runs, place)
            if float(runs.confidence[place]) > 0.4 and name not in phrase:
                fine = with_article(name)
        return Belief(phrase, confidence, fine=fine, other=other)

    def _supported(self, stamp: Stamp, runs: Runs) -> Belief:
        """The stamp's caption as far as evidence bears it out."""
        support, words = 0.0, set(FUNCTION_WORDS)
        for place in range(runs.kind.shape[0]):
            text = self._text(runs, place).lower()
            if not text:
                continue
            words.update(text.split())
            sure = float(runs.confidence[place])
            sure = from_similarity(sure) if int(runs.kind[place]) == CAPTION else sure
            if stamp.head in text.split():
                support = max(support, sure)
        if not support:
            return Belief(None, 0.0)
        borne_out = all(word in words for word in stamp.phrase.lower().split())
        short = stamp.phrase if " of " in stamp.phrase or stamp.head.endswith("s") else with_article(stamp.head)
        best = self._text(runs, int((runs.confidence * (runs.kind == GROUP)).argmax()))
        other = with_article(best) if best and best not in stamp.phrase else None
        return Belief(stamp.phrase if borne_out else short, support, other=other)

    def _drop(self, runs: Runs, rng: np.random.Generator, keep: int | None = None) -> Runs:
        """Drop kinds of evidence, and single runs; what `keep` names stays."""
        tokens = runs.tokens.clone()
        for kind, chance in ((GROUP, 0.12), (FINE, 0.3), (CAPTION, 0.25)):
            if kind != keep and rng.random() < chance:
                tokens[runs.kind == kind] = -1
        confidence = torch.where((tokens >= 0).any(dim=1), runs.confidence, 0.0)
        return Runs(tokens, runs.kind, runs.rank, confidence)

    def _text(self, runs: Runs, place: int) -> str:
        ids = [int(token) for token in runs.tokens[place] if token >= 0]
        return str(self.tokenizer.decode(ids)).strip()


def from_similarity(similarity: float) -> float:
    """How sure the caption of a neighbour at this similarity makes one, in [0,1]."""
    return min(1.0, max(0.0, (similarity - 0.25) / 0.4))


def _one(runs: Runs) -> Runs:
    """The runs of the only picture of a batch, as copies that may be changed."""
    return Runs(runs.tokens[0].clone(), runs.kind[0], runs.rank[0], runs.confidence[0].clone())


def stack(samples: list[Sample]) -> Runs:
    """Runs of several samples as a batch."""
    return Runs(
        tokens=torch.stack([sample.runs.tokens for sample in samples]),
        kind=torch.stack([sample.runs.kind for sample in samples]),
        rank=torch.stack([sample.runs.rank for sample in samples]),
        confidence=torch.stack([sample.runs.confidence for sample in samples]),
    )
