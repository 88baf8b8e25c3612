"""`vlbm train`: from a file to a saved model."""

from __future__ import annotations

from pathlib import Path

import click

from vlbm.cli.terminal import bars, say, show, without_other_bars


@click.command()
@click.argument("config")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the result. Default: what the file says.")
@click.option("--cache", type=click.Path(path_type=Path), help="Data and what encoders saw. Default: vlbm's cache.")
@click.option("--steps", type=click.IntRange(1), help="Optimiser steps. Default: what the file says.")
@click.option(
    "--start",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of a packaged adapter to train further. Default: it begins from nothing.",
)
@click.option("--threads", type=click.IntRange(1), help="Threads of torch. Default: torch's own choice.")
@click.option("--workers", type=click.IntRange(0), help="Processes that make examples. Default: 0; with a GPU, all.")
def train(
    config: str,
    out: Path | None,
    cache: Path | None,
    steps: int | None,
    start: Path | None,
    threads: int | None,
    workers: int | None,
) -> None:
    """Train the model that the file CONFIG describes (docs/training.md), or the 'packaged' adapter.

    It uses the GPU that is there. Stopped and started again, it goes on from its checkpoint.
    """
    import torch

    from vlbm.cache import default_cache_dir
    from vlbm.packaged import PACKAGED
    from vlbm.training.workers import spare_cores

    if threads:
        torch.set_num_threads(threads)
    cache_dir = cache or default_cache_dir()
    if workers is None:
        workers = spare_cores() if torch.cuda.is_available() else 0
    if config == PACKAGED:
        _train_packaged(out, cache_dir, steps, start, workers)
    elif start:
        raise click.UsageError("--start is for 'packaged': a file says itself what its model starts from")
    else:
        _train_file(Path(config), out, cache_dir, steps, workers)


def _train_packaged(out: Path | None, cache_dir: Path, steps: int | None, start: Path | None, workers: int) -> None:
    from dataclasses import replace

    from vlbm.packaged import PACKAGED_FOLDER
    from vlbm.recipes import packaged

    without_other_bars()
    plan = packaged.FURTHER if start else packaged.PLAN
    plan = replace(plan, steps=steps or plan.steps)
    with bars() as tell:
        report = packaged.train(
            out=out or PACKAGED_FOLDER, cache_dir=cache_dir, plan=plan, tell=tell, start=start, workers=workers
        )
    for point in report.points:
        show(f"step {point.step}: loss {point.loss:.3f}, held out {point.held_out:.3f}")
    show(f"{report.trained:,} parameters trained on {report.pictures} pictures; written to {report.folder}")


def _train_file(path: Path, out: Path | None, cache_dir: Path, steps: int | None, workers: int) -> None:
    from dataclasses import replace

    from vlbm.training.run import train as run
    from vlbm.training.settings import read_settings

    without_other_bars()
    settings = read_settings(path)
    plan = replace(settings.training, steps=steps or settings.training.steps)
    with bars() as tell:
        settings = replace(settings, out=out or settings.out, training=plan)
        made = run(settings, cache_dir=cache_dir, tell=tell, workers=workers)
    for problem in made.problems:
        say(f"left out: {problem}")
    for point in made.points:
        show(f"step {point.step}: loss {point.loss:.3f}, held out {point.held_out:.3f}")
    show(f"{made.parameters:,} parameters trained on {made.examples} examples; written to {made.folder}")
