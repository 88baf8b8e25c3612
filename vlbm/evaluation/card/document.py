"""The card as report.json for programs and report.md for readers: a table of figures, then answers verbatim.

It knows sections, not how they were measured.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from vlbm.evaluation.card.calibration import bins
from vlbm.evaluation.card.run import Card
from vlbm.evaluation.card.section import Figure, Row, Section
from vlbm.evaluation.confidence import Interval
from vlbm.evaluation.markdown import as_table, number
from vlbm.evaluation.plots import need_matplotlib
from vlbm.evaluation.report import JSON, MARKDOWN

FORMAT, FORMAT_VERSION = "vlbm-card", 1
VERBATIM = 25
RELIABILITY = "reliability.png"
MARKS = {True: "met", False: "missed", None: ""}


def write(card: Card, settings: Mapping[str, Any], out: Path) -> None:
    """Write report.json, report.md and the plots into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    report = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("vlbm-assistant", "torch", "transformers", "sacrebleu", "numpy")},
        "weights": card.weights,
        "settings": dict(settings),
        "left_out": card.left_out,
        "sections": {name: section.plain() for name, section in card.sections.items()},
    }
    (out / JSON).write_text(json.dumps(report, ensure_ascii=False, indent=1, allow_nan=False) + "\n", "utf-8")
    if "calibration" in card.sections:
        plot(card.sections["calibration"].rows, out / RELIABILITY)
    (out / MARKDOWN).write_text("\n".join(lines(card, settings)) + "\n", encoding="utf-8")


def figure_cells(figure: Figure) -> list[str]:
    """A figure as a row of the table."""
    baselines = "; ".join(f"{name} {number(value.value)}" for name, value in figure.baselines.items())
    target = f"{figure.target} ({MARKS[figure.met]})" if figure.target else ""
    return [figure.what, target, f"{_measured(figure.measured)} {figure.unit}, n = {figure.count}", baselines]


def lines(card: Card, settings: Mapping[str, Any]) -> Iterator[str]:
    """The document."""
    yield "# The packaged model's figures\n"
    yield f"Made by `vlbm eval packaged`, of weights `{card.weights[:12]}`; "
    yield f"{', '.join(f'{name} {value}' for name, value in settings.items())}. In brackets 95 % intervals.\n"
    figures = [figure for section in card.sections.values() for figure in section.figures]
    yield from as_table(["figure", "target", "measured", "baselines"], [figure_cells(figure) for figure in figures])
    for name, reason in card.left_out.items():
        yield f"\nLeft out: {name}: {reason}"
    if "calibration" in card.sections:
        yield f"\n![{RELIABILITY}]({RELIABILITY})"
    yield "\n## How each was made\n"
    yield from (f"- **{name}**: {section.how}" for name, section in card.sections.items())
    for name, section in card.sections.items():
        if name != "calibration":
            yield from _verbatim(name, section, int(settings.get("seed", 0)))


def _verbatim(name: str, section: Section, seed: int) -> Iterator[str]:
    """Answers as they are, good and bad, drawn by the seed."""
    order = np.random.default_rng(seed).permutation(len(section.rows))[:VERBATIM]
    rows = [section.rows[place] for place in sorted(order.tolist())]
    yield f"\n## Verbatim: {name}\n"
    yield f"{len(rows)} of {len(section.rows)}, drawn at random.\n"
    titles = ["shown", "question", "right would be", "said", "counts"]
    yield from as_table(titles, [_row(row) for row in rows])


def _row(row: Row) -> list[str]:
    counts = "" if row.right is None else "yes" if row.right else "no"
    return [row.shown, row.question, row.expected, row.said, counts]


def _measured(value: Interval) -> str:
    return f"{number(value.value)} [{number(value.low)}, {number(value.high)}]"


def plot(rows: Sequence[Row], path: Path) -> None:
    """The reliability plot: for each bin of confidence the share that is right, with how many answers it is of."""
    found = bins(rows)
    figure = need_matplotlib()(figsize=(4.5, 4.5), layout="constrained")
    panel = figure.subplots()
    panel.plot([0, 100], [0, 100], color="black", linewidth=0.8, linestyle="--")
    panel.plot([one.confidence for one in found], [one.right for one in found], marker="o", color="tab:green")
    for one in found:
        panel.annotate(str(one.count), (one.confidence, one.right), textcoords="offset points", xytext=(5, -10))
    panel.set(xlabel="confidence, %", ylabel="right, %", xlim=(0, 100), ylim=(0, 100), title=f"{len(rows)} answers")
    figure.savefig(path, dpi=120)
