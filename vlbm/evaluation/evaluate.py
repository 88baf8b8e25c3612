"""An evaluation from its files and models to its report: looks at pictures once, asks each model the same exam.

Several models are taken as the seeds of one training. It joins the parts, and knows none of them inside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from vlbm.errors import ConfigError, DataError, PictureError
from vlbm.evaluation.dataset import Source, digests
from vlbm.evaluation.exam import Exam, make_exam
from vlbm.evaluation.measure import Examiner, Plan, Run, Stages
from vlbm.evaluation.nearest import Known, known, pooled
from vlbm.evaluation.questions import Group
from vlbm.evaluation.sight import Looked, look
from vlbm.fingerprint import fingerprint
from vlbm.training.seen import SeenPictures

PARTS = ("encoder", "fusion", "fusion_layers")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model to be evaluated, with the name it was asked for by."""

    name: str
    model: Any
    processor: Any

    def fingerprint(self) -> str:
        """SHA-256 of all weights and their names."""
        return fingerprint(self.model.state_dict().items())

    def parts(self) -> dict[str, Any]:
        """What it is made of."""
        config = self.model.config
        own = {part: getattr(config, part) for part in PARTS}
        text = config.text_config
        language = f"{text.model_type}, {text.num_hidden_layers} layers of {text.hidden_size}"
        changed = {"encoder": config.encoder_spec.name, "fusion_layers": list(own["fusion_layers"])}
        return {**own, **changed, "language_model": language}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All that a report says.

    Attributes:
        source, train: where examples are from.
        exam: what was asked.
        pictures: SHA-256 of each picture.
        candidates: name, fingerprint and parts of each model.
        runs: what each model made of it.
        plan: how it was asked.
        problems: examples that were left out, and why.
        warnings: what was left out or weakens the figures.
    """

    source: Source
    train: Source | None
    exam: Exam
    pictures: Mapping[Path, str]
    candidates: tuple[dict[str, Any], ...]
    runs: tuple[Run, ...]
    plan: Plan
    problems: tuple[str, ...]
    warnings: tuple[str, ...]


def evaluate(
    candidates: Sequence[Candidate],
    source: Source,
    *,
    train: Source | None = None,
    plan: Plan,
    cache_dir: Path,
    tell: Stages,
) -> Evaluation:
    """Evaluate one model, or several seeds of one training.

    Args:
        candidates: at least one.
        source: what is evaluated on.
        train: what was trained on, for the nearest neighbour baseline.
        plan: how models are asked.
        cache_dir: what encoders saw is kept here.
        tell: is told stage, done, total and a note.

    Raises:
        ConfigError: the models are the same one, or of different parts.
        DataError: no example can be used.
        EvaluationError: there are too few questions.
    """
    described = describe(candidates)
    seen = [SeenPictures(c.model, c.processor, cache_dir / "seen") for c in candidates]
    looked = _look(candidates, source, seen, plan, tell)
    usable = sorted(set.intersection(*(set(found.usable) for found in looked)))
    problems = list(dict.fromkeys(problem for found in looked for problem in found.problems))
    if not usable:
        raise DataError(f"{source.file} has no example that can be asked: {problems[0]}")
    examples = [source.examples[number] for number in usable]
    pictures = digests(examples)
    exam = make_exam(examples, pictures, plan.seed)
    runs, warnings = list[Run](), list(exam.warnings)
    for number, (candidate, found) in enumerate(zip(candidates, looked, strict=True)):
        say = partial(_of, f"model {number + 1}, " if len(candidates) > 1 else "", tell)
        neighbours, unread = _known(train, seen[number], say)
        examiner = Examiner(
            candidate.model, candidate.processor, sight=found.sight, known=neighbours, plan=plan, tell=say
        )
        runs.append(examiner.run(exam))
        if not number:
            warnings += unread + _about_training(train, neighbours, exam, pictures)
    if len(candidates) == 1:
        warnings.append("one model: intervals are over questions and say nothing of other seeds of its training")
    return Evaluation(
        source=source,
        train=train,
        exam=exam,
        pictures=pictures,
        candidates=described,
        runs=tuple(runs),
        plan=plan,
        problems=(*source.problems, *problems),
        warnings=tuple(warnings),
    )


def describe(candidates: Sequence[Candidate]) -> tuple[dict[str, Any], ...]:
    """Name, fingerprint and parts of each.

    Raises:
        ConfigError: two are the same model, or of different parts: then they are no seeds of one training.
    """
    found = tuple({"name": c.name, "fingerprint": c.fingerprint(), **c.parts()} for c in candidates)
    for other in found[1:]:
        apart = [part for part in (*PARTS, "language_model") if other[part] != found[0][part]]
        if apart:
            raise ConfigError(
                f"{found[0]['name']} and {other['name']} are no seeds of one training: {apart[0]} is "
                f"{found[0][apart[0]]!r} and {other[apart[0]]!r}; evaluate them one by one"
            )
    names: dict[str, str] = {}
    for row in found:
        if row["fingerprint"] in names:
            raise ConfigError(f"{names[row['fingerprint']]} and {row['name']} are the same model: give each seed once")
        names[row["fingerprint"]] = row["name"]
    return found


def _look(
    candidates: Sequence[Candidate], source: Source, seen: Sequence[SeenPictures], plan: Plan, tell: Stages
) -> list[Looked]:
    """What each model sees; models with one encoder share it."""
    found, shared = list[Looked](), dict[Path, Looked]()
    for candidate, pictures in zip(candidates, seen, strict=True):
        if pictures.folder not in shared:
            shared[pictures.folder] = look(
                candidate.model,
                candidate.processor,
                source.examples,
                pictures,
                max_tokens=plan.max_tokens,
                tell=lambda done, total: tell("Looking", done, total, ""),
            )
        found.append(shared[pictures.folder])
    return found


def _of(prefix: str, tell: Stages, stage: str, done: int, total: int, note: str) -> None:
    tell(f"{prefix}{stage}", done, total, note)


def _known(train: Source | None, seen: SeenPictures, tell: Stages) -> tuple[dict[Group, Known], list[str]]:
    """Training examples by group, and those whose pictures cannot be read."""
    examples = [example for example in train.examples if example.pictures] if train else []
    rows, problems = list[tuple[Group, torch.Tensor, str]](), list[str]()
    for number, example in enumerate(examples, start=1):
        try:
            features = pooled([seen.see(path) for path in example.pictures])
            rows.append((Group(example.task, example.language, pictured=True), features, example.target))
        except (PictureError, OSError) as error:
            problems.append(f"training example {number} left out: {error}")
        tell("Looking (train)", number, len(examples), "")
    return known(rows), problems


def _about_training(
    train: Source | None, neighbours: Mapping[Group, Known], exam: Exam, pictures: Mapping[Path, str]
) -> list[str]:
    """What the nearest neighbour lacks, and what training may have given away."""
    if train is None:
        return ["nearest neighbour left out: give the training examples with --train FILE"]
    found = [
        f"{group.name}: nearest neighbour left out: no training example of this task and language has a picture"
        for group in exam.groups
        if group.pictured and group not in neighbours
    ]
    same = set(pictures.values()) & set(digests(train.examples).values())
    if same:
        found.append(f"{len(same)} of {len(set(pictures.values()))} pictures are training pictures as well: a leak")
    return found
