"""report.md: the report for readers, made of nothing but what report.json has.

It knows the report's keys, not how anything was measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vlbm.evaluation.report import MARKDOWN

MEASURES = {
    "log-likelihood": "mean log-probability of a token of the reference, in nats; higher is better, 0 is certainty",
    "gain": "how much likelier the reference is with the right picture than with this one, in nats a token, question "
    "by question; above 0 the right picture helps",
    "BLEU": "shared runs of up to 4 words with the reference, 0 to 100 (Papineni et al. 2002)",
    "chrF": "shared runs of up to 6 characters, 0 to 100 (Popovic 2015)",
    "ROUGE-L": "longest common subsequence of words, F1, 0 to 100 (Lin 2004)",
    "CIDEr-D": "shared runs of words, weighted by how particular they are to a picture, 0 to 10 (Vedantam et al. 2015)",
    "head nouns": "answers that name the thing their reference is about, in percent",
    "accuracy": "right answers that have a lower perplexity than the wrong ones, in percent; 50 without looking "
    "(Futeral et al. 2023)",
}
WAYS = {
    "right": "the question's own picture",
    "swapped": "the picture of another question, about something else; in a contrast, the other meaning's",
    "blank": "a picture of one colour",
    "none": "no picture",
    "nearest": "no model: what was said of the most similar training picture",
}


def cell(row: Mapping[str, Any]) -> str:
    """A value with its interval, as 61.2 [50.1, 71.0]."""
    return f"{number(row['value'])} [{number(row['low'])}, {number(row['high'])}]"


def number(value: float) -> str:
    """Three digits, without an exponent and without a minus before zero."""
    places = 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{round(value, places) + 0.0:.{places}f}"


def grid(table: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Titles and rows of a table: a row a way, a column a measure."""
    there = {measure for ways in table["ways"].values() for measure in ways}
    measures = [measure for measure in MEASURES if measure in there]
    ways = [way for way in WAYS if way in table["ways"]]
    rows = [[way, *(cell(table["ways"][way][m]) if m in table["ways"][way] else "" for m in measures)] for way in ways]
    return ["", *measures], rows


def write_markdown(report: Mapping[str, Any], folder: Path, plots: Sequence[str]) -> None:
    """Write report.md, with the plots that lie beside it."""
    text = "\n".join(_lines(report, plots))
    (folder / MARKDOWN).write_text(text + "\n", encoding="utf-8")


def _lines(report: Mapping[str, Any], plots: Sequence[str]) -> Iterator[str]:
    data = report["data"]
    split = f", split {data['split']}" if data["split"] else ""
    yield "# Evaluation"
    yield f"\n{data['questions']} questions about {data['pictures']} pictures, of `{data['file']}`{split}."
    yield from _models(report)
    for name, table in report["tables"].items():
        yield f"\n## {name[0].upper()}{name[1:]}\n"
        yield f"{table['questions']} questions, {table['pictures']} pictures.\n"
        yield from as_table(*grid(table))
        yield from _per_model(table)
    yield from (f"\n![{name}]({name})" for name in plots)
    yield from _drift(report)
    yield "\n## What the numbers mean\n"
    yield from (f"- **{name}**: {meaning}." for name, meaning in (WAYS | MEASURES).items() if _used(report, name))
    yield "\nIn brackets 95 % intervals. Their methods:\n"
    for method, meaning in report["methods"].items():
        measures = ", ".join(sorted(_measures_by(report, method)))
        yield f"- {measures}: {meaning}."
    if report["warnings"] or report["left_out"]:
        yield "\n## Warnings\n"
        yield from (f"- {_plain(warning)}" for warning in report["warnings"])
        yield from (f"- left out: {_plain(problem)}" for problem in report["left_out"])
    yield from _examples(report)
    yield from _provenance(report)


def _models(report: Mapping[str, Any]) -> Iterator[str]:
    models = report["models"]
    if len(models) > 1:
        yield f"\n{len(models)} models, taken as seeds of one training: values are their mean."
    yield ""
    rows = [
        [
            m["name"],
            m["encoder"],
            m["language_model"],
            f"{m['fusion']} after {m['fusion_layers']}" if m["fusion_layers"] else m["fusion"],
            m["fingerprint"][:12],
        ]
        for m in models
    ]
    yield from as_table(["model", "encoder", "language model", "fusion", "weights (SHA-256)"], rows)


def _per_model(table: Mapping[str, Any]) -> Iterator[str]:
    """Each seed's values, where there are several."""
    rows = [
        [way, measure, *map(number, row["models"])]
        for way, measures in table["ways"].items()
        for measure, row in measures.items()
        if len(row["models"]) > 1
    ]
    if rows:
        yield "\nEach model:\n"
        yield from as_table(["", "measure", *(str(n + 1) for n in range(len(rows[0]) - 2))], rows)


def _drift(report: Mapping[str, Any]) -> Iterator[str]:
    yield "\n## Text alone\n"
    yield "Without a picture, next to the language model inside: the largest difference of a logit, and the share of"
    yield "greedy answers that are the same. A fusion that acts only where there is a picture has 0.0 and 100 %.\n"
    rows = [
        [model["name"], str(found["prompts"]), str(found["largest"]), f"{found['same'] / found['prompts']:.1%}"]
        for model, found in zip(report["models"], report["drift"], strict=True)
    ]
    yield from as_table(["model", "prompts", "largest difference", "same answers"], rows)


def _examples(report: Mapping[str, Any]) -> Iterator[str]:
    """A table a group."""
    for name in dict.fromkeys(row["table"] for row in report["answers"]):
        rows = [row for row in report["answers"] if row["table"] == name]
        ways = [way for way in WAYS if any(way in row["answers"] for row in rows)]
        yield f"\n## Answers: {name}\n"
        count = report["tables"][name]["questions"]
        yield f"The best and the worst of {count} answers (with the right picture, where there is one), ranked by"
        yield "ROUGE-L and then by their place in the file; of the first model.\n"
        titles = ["rank", "ROUGE-L", "picture", "question", "reference", *ways]
        yield from as_table(titles, [[*_asked(row), *(row["answers"].get(way, "") for way in ways)] for row in rows])


def _asked(row: Mapping[str, Any]) -> tuple[str, ...]:
    pictures = ", ".join(row["pictures"])
    return str(row["rank"]), number(row["rouge_l"]), pictures, row["question"], row["references"][0]


def _provenance(report: Mapping[str, Any]) -> Iterator[str]:
    data, train, settings = report["data"], report["train"], report["settings"]
    yield "\n## Made with\n"
    yield f"- data: `{data['file']}`, SHA-256 `{data['sha256']}`; its pictures `{data['pictures_sha256']}`"
    if train:
        yield f"- training examples: `{train['file']}`, {train['examples']}, SHA-256 `{train['sha256']}`"
    yield from (f"- `{model['name']}`: weights SHA-256 `{model['fingerprint']}`" for model in report["models"])
    yield f"- {settings['decoding']} decoding, at most {settings['max_tokens']} tokens; seed {settings['seed']}"
    yield "- " + ", ".join(f"{name} {value}" for name, value in report["versions"].items())
    yield from (f"- {name}: `{signature}`" for name, signature in report["signatures"].items())


def as_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(titles)} |"
    yield "|" + "---|" * len(titles)
    for row in rows:
        yield f"| {' | '.join(map(_plain, row))} |"


def _plain(text: str) -> str:
    """Text that stays in its line and cell."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _used(report: Mapping[str, Any], name: str) -> bool:
    ways = [ways for table in report["tables"].values() for ways in table["ways"].items()]
    return any(name == way or name in measures for way, measures in ways)


def _measures_by(report: Mapping[str, Any], method: str) -> set[str]:
    return {
        measure
        for table in report["tables"].values()
        for measures in table["ways"].values()
        for measure, row in measures.items()
        if row["method"] == method
    }
