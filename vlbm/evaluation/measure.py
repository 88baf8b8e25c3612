"""One model's exam: its answers with each kind of picture, and every figure that comes of them.

It knows models and exams, not reports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from vlbm.evaluation.answers import Tell, answer
from vlbm.evaluation.confidence import bootstrap_mean, wilson
from vlbm.evaluation.contrast import per_token, preferred
from vlbm.evaluation.drift import Drift, drift
from vlbm.evaluation.exam import Exam, Pictures, measures, measures_nouns
from vlbm.evaluation.figures import BOOTSTRAP, CORPUS, WILSON, Figure, percent
from vlbm.evaluation.nearest import Known, nearest, pooled
from vlbm.evaluation.nouns import head_noun_accuracy, reference_head
from vlbm.evaluation.questions import Group, Question
from vlbm.evaluation.scores import score
from vlbm.evaluation.sight import WAYS, Sight
from vlbm.language import context_tokens
from vlbm.perception import Visual
from vlbm.training.encoded import Encoded, encode

LIKELIHOOD, GAIN, NOUNS, ACCURACY, NEAREST = "log-likelihood", "gain", "head nouns", "accuracy", "nearest"

Stages = Callable[[str, int, int, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How models are asked.

    Attributes:
        max_tokens: of an answer.
        batch: questions at a time.
        seed: of wrong pictures and resampling.
    """

    max_tokens: int = 40
    batch: int = 16
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """What one model made of the exam.

    Attributes:
        figures: every value.
        answers: by way of asking, by number of the question.
        gains: by table, for each question how much likelier its reference is with the right picture than with none.
        drift: of its text-only answers.
    """

    figures: tuple[Figure, ...]
    answers: Mapping[str, Mapping[int, str]]
    gains: Mapping[str, tuple[float, ...]]
    drift: Drift


class Examiner:
    """Puts an exam to one model.

    Args:
        model, processor: that are asked.
        sight: what the model's encoder saw.
        known: training examples of each group, for the nearest neighbour.
        plan: how it is asked.
        tell: is told stage, done, total and a note.
    """

    def __init__(
        self, model: Any, processor: Any, *, sight: Sight, known: Mapping[Group, Known], plan: Plan, tell: Stages
    ) -> None:
        self.model, self.processor, self.sight, self.known = model, processor, sight, known
        self.plan, self.tell = plan, tell
        self.context = context_tokens(model.config.text_config)

    def run(self, exam: Exam) -> Run:
        """All of it."""
        figures, gains = list[Figure](), dict[str, tuple[float, ...]]()
        answers: dict[str, dict[int, str]] = {way: {} for way in (*WAYS, NEAREST)}
        for group, numbers in exam.groups.items():
            asked = [exam.questions[number] for number in numbers]
            others = exam.others.get(group)
            likelihoods = dict[str, list[float]]()
            for way in self._ways(group, others is not None):
                shown = [
                    self.sight.show(way, q.example.pictures, o, q.example.language) for q, o in _pairs(asked, others)
                ]
                said = self._answers(group, way, asked, shown)
                answers[way] |= dict(zip(numbers, said, strict=True))
                figures += self._text_figures(group, way, asked, said)
                likelihoods[way] = self._likelihoods(group, way, asked, shown)
            figures += self._likelihood_figures(group, likelihoods)
            if group.pictured:
                pairs = zip(likelihoods["right"], likelihoods["none"], strict=True)
                gains[group.name] = tuple(right - none for right, none in pairs)
            if group.pictured and group in self.known:
                said = self._nearest(group, asked)
                answers[NEAREST] |= dict(zip(numbers, said, strict=True))
                figures += self._text_figures(group, NEAREST, asked, said)
        for language in exam.contrasts:
            figures += self._contrast_figures(language, exam)
        return Run(tuple(figures), answers, gains, self._drift(exam))

    @staticmethod
    def _ways(group: Group, swapped: bool) -> tuple[str, ...]:
        if not group.pictured:
            return ("none",)
        return tuple(way for way in WAYS if swapped or way != "swapped")

    def _encode(self, question: Question, target: str, visuals: Sequence[Visual]) -> Encoded:
        return encode(self.processor, replace(question.example, target=target), visuals, context=self.context)

    def _stage(self, group: Group, way: str, what: str) -> Tell:
        def tell(done: int, total: int) -> None:
            self.tell(f"{group.name}, {way}: {what}", done, total, "")

        return tell

    def _answers(
        self, group: Group, way: str, asked: Sequence[Question], shown: Sequence[tuple[Visual, ...]]
    ) -> list[str]:
        rows = [self._encode(q, q.references[0], visuals) for q, visuals in zip(asked, shown, strict=True)]
        return answer(
            self.model,
            self.processor.tokenizer,
            rows,
            max_tokens=self.plan.max_tokens,
            batch=self.plan.batch,
            tell=self._stage(group, way, "answers"),
        )

    def _likelihoods(
        self, group: Group, way: str, asked: Sequence[Question], shown: Sequence[tuple[Visual, ...]]
    ) -> list[float]:
        """Mean log-probability of a token of each question's references."""
        pairs = list(zip(asked, shown, strict=True))
        rows = [self._encode(q, text, visuals) for q, visuals in pairs for text in q.references]
        tell, found = self._stage(group, way, "references"), list[float]()
        for start in range(0, len(rows), self.plan.batch):
            found += per_token(self.model, rows[start : start + self.plan.batch]).tolist()
            tell(len(found), len(rows))
        values = iter(found)
        return [sum(next(values) for _ in q.references) / len(q.references) for q in asked]

    def _likelihood_figures(self, group: Group, found: Mapping[str, list[float]]) -> list[Figure]:
        """Each way's mean, and the mean of the differences from the right picture, question by question."""
        table, mean = group.name, partial(bootstrap_mean, seed=self.plan.seed)
        figures = [Figure(table, way, LIKELIHOOD, mean(values), BOOTSTRAP) for way, values in found.items()]
        for way, values in found.items():
            if group.pictured and way != "right":
                gains = [right - wrong for right, wrong in zip(found["right"], values, strict=True)]
                figures.append(Figure(table, way, GAIN, mean(gains), BOOTSTRAP))
        return figures

    def _text_figures(self, group: Group, way: str, asked: Sequence[Question], said: Sequence[str]) -> list[Figure]:
        """The scores that the group's language and task can carry."""
        figures = []
        for row in score(said, [q.references for q in asked], seed=self.plan.seed):
            if not measures(row.name, group, asked):
                continue
            method = CORPUS if row.name in ("BLEU", "chrF") else BOOTSTRAP
            figures.append(Figure(group.name, way, row.name, row.interval, method, row.signature))
        heads = [next(filter(reference_head, q.references), "") for q in asked]
        if measures_nouns(group) and any(heads):
            share = percent(head_noun_accuracy(said, heads).share)
            figures.append(Figure(group.name, way, NOUNS, share, WILSON))
        return figures

    def _nearest(self, group: Group, asked: Sequence[Question]) -> list[str]:
        own = [pooled([self.sight.pictures[path, q.example.language] for path in q.example.pictures]) for q in asked]
        return nearest(self.known[group], torch.stack(own))

    def _contrast_figures(self, language: str, exam: Exam) -> list[Figure]:
        contrasts = exam.contrasts[language]
        figures, table, pairs = list[Figure](), f"contrast ({language})", contrasts.examples
        others = contrasts.others or tuple(example.pictures for example in pairs)
        for number, way in enumerate(WAYS, start=1):
            if way == "swapped" and contrasts.others is None:
                continue
            right, wrong = list[Encoded](), list[Encoded]()
            for example, other in zip(pairs, others, strict=True):
                visuals = self.sight.show(way, example.pictures, other, example.language)
                right.append(encode(self.processor, example, visuals, context=self.context))
                answered = replace(example, target=example.wrong or "")
                wrong.append(encode(self.processor, answered, visuals, context=self.context))
            found = preferred(self.model, right, wrong)
            figures.append(Figure(table, way, ACCURACY, percent(wilson(sum(found), len(found))), WILSON))
            self.tell(table, number, len(WAYS), "")
        return figures

    def _drift(self, exam: Exam) -> Drift:
        return drift(
            self.model,
            self.processor,
            [question.example for question in exam.questions],
            max_tokens=self.plan.max_tokens,
            batch=self.plan.batch,
            tell=lambda done, total: self.tell("text alone", done, total, ""),
        )


def _pairs(asked: Sequence[Question], others: tuple[Pictures, ...] | None) -> list[tuple[Question, Pictures]]:
    """Questions with their wrong pictures, or without any."""
    return [(question, others[number] if others else ()) for number, question in enumerate(asked)]
