"""The report of an evaluation as a table of plain values, which is what report.json has; see `markdown` and `plots`.

Its keys are stable: `format_version` counts up when one changes its meaning. It knows evaluations, not how they are
shown.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from vlbm.evaluation.dataset import Source, digest_of_all
from vlbm.evaluation.evaluate import Evaluation
from vlbm.evaluation.exam import Exam
from vlbm.evaluation.figures import METHODS, Estimate, estimates
from vlbm.evaluation.measure import Run
from vlbm.evaluation.questions import pictures_of
from vlbm.evaluation.rouge import rouge_l
from vlbm.tasks import messages

FORMAT, FORMAT_VERSION = "vlbm-evaluation", 1
JSON, MARKDOWN = "report.json", "report.md"
SHOWN = 3  # answers that are shown of the best and of the worst


def build(made: Evaluation) -> dict[str, Any]:
    """The whole report."""
    found = estimates([run.figures for run in made.runs])
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("vlbm-assistant", "torch", "transformers", "sacrebleu", "numpy")},
        "data": _source(made.source)
        | {
            "questions": len(made.exam.questions),
            "pictures": len(set(made.pictures.values())),
            "pictures_sha256": digest_of_all(made.pictures),
        },
        "train": None if made.train is None else _source(made.train),
        "models": list(made.candidates),
        "settings": {
            "decoding": "greedy",
            "max_tokens": made.plan.max_tokens,
            "batch": made.plan.batch,
            "seed": made.plan.seed,
        },
        "methods": {estimate.figure.method: METHODS[estimate.figure.method] for estimate in found},
        "tables": tables(found, made.exam),
        "drift": [
            {"prompts": run.drift.prompts, "largest": run.drift.largest, "same": run.drift.same} for run in made.runs
        ],
        "signatures": {e.figure.measure: e.figure.signature for e in found if e.figure.signature},
        "warnings": list(made.warnings),
        "left_out": list(made.problems),
        "gains": {name: _mean_gains(made.runs, name) for name in made.runs[0].gains},
        "answers": answers(made.exam, made.runs[0]),
    }


def tables(found: Sequence[Estimate], exam: Exam) -> dict[str, Any]:
    """By table, way and measure: the value, its interval, the method of it and each model's value."""
    made: dict[str, Any] = {}
    for group, numbers in exam.groups.items():
        asked = [exam.questions[number] for number in numbers]
        shown = pictures_of(question.example for question in asked)
        made[group.name] = {
            "questions": len(asked),
            "pictures": len(shown),
            "references": sum(len(question.references) for question in asked),
            "ways": {},
        }
    for language, contrasts in exam.contrasts.items():
        shown = pictures_of(contrasts.examples)
        made[f"contrast ({language})"] = {"questions": len(contrasts.examples), "pictures": len(shown), "ways": {}}
    for estimate in found:
        figure = estimate.figure
        made[figure.table]["ways"].setdefault(figure.way, {})[figure.measure] = {
            "value": figure.interval.value,
            "low": figure.interval.low,
            "high": figure.interval.high,
            "method": figure.method,
            "models": list(estimate.values),
        }
    return made


def answers(exam: Exam, run: Run) -> list[dict[str, Any]]:
    """Of each group the questions that the model answered best, and worst, with the right picture.

    Questions are ranked by ROUGE-L F1, and equal ones are in the file's order: nobody chooses.
    """
    found = []
    for group, numbers in exam.groups.items():
        said = run.answers["right" if group.pictured else "none"]
        values = {n: rouge_l(said[n], exam.questions[n].references).f1 for n in numbers}
        ranked = sorted(numbers, key=lambda number: -values[number])
        best, worst = ranked[:SHOWN], ranked[SHOWN:][-SHOWN:]
        for number in [*best, *worst]:
            question = exam.questions[number]
            found.append(
                {
                    "table": group.name,
                    "rank": ranked.index(number) + 1,
                    "rouge_l": 100 * values[number],
                    "pictures": [path.name for path in question.example.pictures],
                    "question": messages(question.example)[0]["content"],
                    "references": list(question.references),
                    "answers": {way: texts[number] for way, texts in run.answers.items() if number in texts},
                }
            )
    return found


def write_json(report: Mapping[str, Any], folder: Path) -> None:
    """Write report.json: the same evaluation gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report, ensure_ascii=False, indent=1, allow_nan=False)
    (folder / JSON).write_text(f"{text}\n", encoding="utf-8")


def _source(source: Source) -> dict[str, Any]:
    return {
        "file": source.file,
        "sha256": source.sha256,
        "split": source.split,
        "examples": len(source.examples),
    }


def _mean_gains(runs: Sequence[Run], table: str) -> list[float]:
    values: list[float] = np.mean([run.gains[table] for run in runs], axis=0).tolist()
    return values
