"""What all sections of the card work with: the model, the prepared data, and a sample of it that a seed decides.

What is seen for baselines is the encoder's alone (pooled features and class probabilities), and kept while the bench
lives. It knows where things are, not what is measured.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from vlbm.data.prepared import prepared
from vlbm.data.records import Example
from vlbm.data.sources import SOURCES
from vlbm.data.splits import TRAIN
from vlbm.encoders import Seen
from vlbm.errors import DataError
from vlbm.evaluation.answers import answer
from vlbm.evaluation.card.neighbours import Neighbours
from vlbm.evaluation.card.section import Section
from vlbm.evaluation.naming import Answer, Posed, answers
from vlbm.evidence.names import imagenet_names
from vlbm.evidence.neighbours import Lent
from vlbm.language import context_tokens
from vlbm.perception import Visual
from vlbm.pictures import open_picture
from vlbm.recipes.pictures import LANGUAGES
from vlbm.training.encoded import encode

PREPARE = "vlbm data prepare " + " ".join(f"--language {language}" for language in LANGUAGES)
LABELS = 5

Tell = Callable[[str, int, int, str], None]
Item = TypeVar("Item")


@dataclass(kw_only=True)
class Bench:
    """The sections' common ground.

    Attributes:
        model, processor: what is measured.
        data: the folder of prepared sources.
        photos: the folder that real photos are fetched into.
        cache: what encoders saw is kept here.
        tell: is told stage, done, total and a note.
        limit: of questions a section; None is all that it would ask.
        seed: of samples, wrong pictures and resampling.
        batch: questions at a time, where the language model is asked alone.
        earlier: sections that were measured before, by name.
        lent: pictures that the memory knows beside its own.
    """

    model: Any
    processor: Any
    data: Path
    photos: Path
    cache: Path
    tell: Tell
    limit: int | None = None
    seed: int = 0
    batch: int = 16
    earlier: Mapping[str, Section] = field(default_factory=dict)
    lent: Lent | None = None

    def __post_init__(self) -> None:
        self._glances = dict[str, Seen]()
        self._visuals = dict[tuple[str, str], Visual]()

    def some(self, items: Sequence[Item], most: int) -> list[Item]:
        """At most so many of them, and of the limit, drawn by the seed, in a random order that it decides as well."""
        order = np.random.default_rng(self.seed).permutation(len(items))
        return [items[place] for place in order[: min(most, self.limit or most)]]

    def examples(self, split: str, language: str = "en") -> list[Example]:
        """The captions of a split in a language, of all sources.

        Raises:
            DataError: a source is not prepared, or not in this language.
        """
        found = list[Example]()
        for source in SOURCES.values():
            there = prepared(source, self.data)
            if there is None or language not in there.record["languages"]:
                raise DataError(f"{source.name} is not prepared in {language}: run `{PREPARE}`")
            found += [e for e in there.examples() if e.split == split and e.language == language]
        return found

    @cached_property
    def neighbours(self) -> Neighbours:
        """The training pictures, for the nearest neighbour."""
        captions = dict[Path, dict[str, str]]()
        for language in LANGUAGES:
            for example in self.examples(TRAIN, language):
                captions.setdefault(example.pictures[0], {})[language] = example.target
        return Neighbours.look(self.model, self.processor, captions, self.cache, self.tell)

    @torch.inference_mode()
    def glance(self, picture: bytes) -> Seen:
        """What the encoder makes of a picture, as a batch of one; kept."""
        key = hashlib.sha256(picture).hexdigest()
        if key not in self._glances:
            self._glances[key] = self.model.encode(self._pixels(picture))
        return self._glances[key]

    def _pixels(self, picture: bytes) -> torch.Tensor:
        pixels: torch.Tensor = self.processor.image_processor(open_picture(picture))["pixel_values"]
        return pixels.to(self.model.device)

    def nearest(self, picture: bytes, language: str = "en") -> str:
        """The caption of the training picture that looks most alike."""
        return self.neighbours.say(self.glance(picture).pooled[0].cpu(), language)

    def labels(self, picture: bytes) -> list[str]:
        """The encoder's likeliest everyday names of a picture, likeliest first; none where it has other classes."""
        return names_of(self.glance(picture).logits[0].cpu())

    @torch.inference_mode()
    def see(self, picture: bytes, language: str) -> Visual:
        """What the model sees of a picture, with evidence in a language, or in its first one; kept."""
        known = self.processor.languages
        spoken = language if language in known else known[0]
        key = (hashlib.sha256(picture).hexdigest(), spoken)
        if key not in self._visuals:
            number = torch.tensor([self.processor.language_number(spoken)], device=self.model.device)
            seen = self.model.look(self._pixels(picture), languages=number, lent=self.lent, seen=self.glance(picture))
            self._visuals[key] = seen.to("cpu")
        return self._visuals[key]

    def ask(
        self,
        stage: str,
        posed: Sequence[Posed],
        *,
        max_tokens: int = 40,
        change: Callable[[Visual], Visual] = lambda visual: visual,
    ) -> list[Answer]:
        """What the model says, of what it sees or of what `change` makes of that."""
        return answers(
            self.model,
            self.processor,
            posed,
            lambda picture, language: change(self.see(picture, language)),
            max_tokens=max_tokens,
            batch=self.batch,
            tell=lambda done, total: self.tell(stage, done, total, ""),
        )

    def bare(self, stage: str, prompts: Sequence[str], *, max_tokens: int = 40) -> list[str]:
        """The greedy answers of the language model alone."""
        context = context_tokens(self.model.config.text_config)
        asked = [Example((), "-", task="chat", text=prompt) for prompt in prompts]
        return answer(
            self.model.language_model,
            self.processor.tokenizer,
            [encode(self.processor, example, (), context=context) for example in asked],
            max_tokens=max_tokens,
            batch=self.batch,
            tell=lambda done, total: self.tell(stage, done, total, ""),
        )


def names_of(logits: torch.Tensor) -> list[str]:
    """The likeliest everyday names for log class probabilities [c]; none where these are not ImageNet's classes."""
    names = imagenet_names()
    if len(logits) != len(names.classes):
        return []
    groups = torch.zeros(len(names.groups)).index_add(0, torch.tensor(names.group_of_class), logits.float().exp())
    return [names.groups[place] for place in groups.topk(LABELS).indices.tolist()]


def with_labels(labels: Sequence[str], question: str) -> str:
    """A question with labels of the picture before it, for a language model that sees none."""
    return f"A picture has these labels, the likeliest first: {', '.join(labels)}. {question}"
