"""`vlbm eval packaged`: the figures of the model card, each beside its baselines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vlbm.cli.terminal import bars, load, say

if TYPE_CHECKING:
    from vlbm.evaluation.card.section import Figure


def measure_card(
    model: str, *, only: Sequence[str], limit: int | None, seed: int, batch: int, out: Path, cache: Path | None
) -> None:
    """Measure a model by the packaged exam, show the table, and write the document."""
    from vlbm.cache import default_cache_dir
    from vlbm.evaluation.card.bench import Bench
    from vlbm.evaluation.card.document import write
    from vlbm.evaluation.card.registry import chosen
    from vlbm.evaluation.card.run import measure
    from vlbm.evaluation.plots import need_matplotlib
    from vlbm.evaluation.report import MARKDOWN

    need_matplotlib()
    names = chosen(only)
    folder = cache or default_cache_dir()
    network, processor = load(model)
    with bars() as tell:
        bench = Bench(
            model=network,
            processor=processor,
            data=folder / "data",
            photos=folder / "photos",
            cache=folder / "seen",
            tell=tell,
            limit=limit,
            seed=seed,
            batch=batch,
        )
        card = measure(bench, names, out)
    write(card, {"model": model, "limit": limit, "seed": seed}, out)
    _show([figure for section in card.sections.values() for figure in section.figures])
    for name, reason in card.left_out.items():
        say(f"left out: {name}: {reason}")
    click.echo(f"written to {out / MARKDOWN}")


def _show(figures: Sequence[Figure]) -> None:
    """The table on the terminal."""
    from rich.console import Console
    from rich.table import Table

    from vlbm.evaluation.card.document import figure_cells

    shown = Table("figure", "target", "measured", "baselines")
    for figure in figures:
        shown.add_row(*figure_cells(figure))
    console = Console()
    console.width = max(console.width, 150)
    console.print(shown)
