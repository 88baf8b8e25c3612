"""`vlbm eval`: measure models on a file of examples, into a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vlbm.cli.card import measure_card
from vlbm.cli.terminal import bars, load, say
from vlbm.errors import ConfigError

if TYPE_CHECKING:
    from vlbm.evaluation.evaluate import Candidate

PACKAGED = "packaged"  # as data: the exam of the packaged model
NARROWEST = 150  # characters that a table needs; a narrower terminal wraps it


@click.command("eval")
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--model",
    "models",
    multiple=True,
    default=("packaged",),
    show_default=True,
    help="'packaged', a folder, or a name on a hub; several are the seeds of one training.",
)
@click.option("--train", type=click.Path(path_type=Path), help="Training examples, for the nearest neighbour baseline.")
@click.option("--split", help="Evaluate on the examples of this split.  [default: all]")
@click.option("--pictures", type=click.Path(path_type=Path), help="Folder of pictures.  [default: each file's own]")
@click.option("--limit", type=click.IntRange(1), help="The first so many examples; of packaged, so many a section.")
@click.option("--only", multiple=True, metavar="SECTION", help="Of packaged: this section only; repeatable.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("evaluation"), show_default=True)
@click.option("--max-tokens", default=40, show_default=True, type=click.IntRange(1), help="Tokens of an answer.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of swaps and resampling.")
@click.option("--batch", default=16, show_default=True, type=click.IntRange(1), help="Questions at a time.")
@click.option("--cache", type=click.Path(path_type=Path), help="What encoders saw.  [default: vlbm's cache]")
def evaluate(
    data: Path,
    models: tuple[str, ...],
    train: Path | None,
    split: str | None,
    pictures: Path | None,
    limit: int | None,
    only: tuple[str, ...],
    out: Path,
    max_tokens: int,
    seed: int,
    batch: int,
    cache: Path | None,
) -> None:
    """Measure how well models answer the examples in the file DATA (docs/data.md), and whether they use the picture.

    With `packaged` for DATA: the figures of docs/model.md, each beside its baselines, on data that packages carry.

    Writes report.json, report.md and plots into a folder; docs/evaluation.md says how to read them.
    """
    if str(data) == PACKAGED:
        if len(models) > 1:
            raise ConfigError("the figures of packaged are of one model: give --model once")
        measure_card(models[0], only=only, limit=limit, seed=seed, batch=batch, out=out, cache=cache)
        return
    if only:
        raise ConfigError("--only names sections of packaged: use it with `vlbm eval packaged`")
    from vlbm.cache import default_cache_dir
    from vlbm.evaluation.dataset import read_source, read_training
    from vlbm.evaluation.evaluate import evaluate as run
    from vlbm.evaluation.markdown import write_markdown
    from vlbm.evaluation.measure import Plan
    from vlbm.evaluation.plots import need_matplotlib, write_plots
    from vlbm.evaluation.report import MARKDOWN, build, write_json

    need_matplotlib()
    source = read_source(data, pictures=pictures, split=split, limit=limit)
    known = read_training(train, pictures=pictures) if train else None
    candidates = [_load(name) for name in models]
    with bars() as tell:
        made = run(
            candidates,
            source,
            train=known,
            plan=Plan(max_tokens=max_tokens, batch=batch, seed=seed),
            cache_dir=cache or default_cache_dir(),
            tell=tell,
        )
    report = build(made)
    write_json(report, out)
    write_markdown(report, out, write_plots(report, out))
    _show(report)
    click.echo(f"written to {out / MARKDOWN}")


def _load(name: str) -> Candidate:
    """A model to be compared, where it computes fastest."""
    from vlbm.evaluation.evaluate import Candidate

    model, processor = load(name, device="auto")
    return Candidate(name, model, processor)


def _show(report: dict[str, Any]) -> None:
    """The tables on the terminal, and what weakens them."""
    from rich.console import Console
    from rich.table import Table

    from vlbm.evaluation.markdown import grid

    console = Console()
    console.width = max(console.width, NARROWEST)
    for name, table in report["tables"].items():
        titles, rows = grid(table)
        shown = Table(*titles, title=f"{name}: {table['questions']} questions, {table['pictures']} pictures")
        for row in rows:
            shown.add_row(*row)
        console.print(shown)
    for model, found in zip(report["models"], report["drift"], strict=True):
        same = found["same"] / found["prompts"]
        click.echo(f"{model['name']}, text alone: largest logit difference {found['largest']}, {same:.0%} same answers")
    for warning in [*report["warnings"], *(f"left out: {problem}" for problem in report["left_out"])]:
        say(warning)
