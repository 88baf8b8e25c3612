"""What commands show while they work: lines and progress bars on standard error.

Of several processes of one training, only the first shows anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

EXIT_LEFT_OUT = 1  # some of what was given was left out, and named
_FIRST = os.environ.get("RANK", "0") == "0"  # torchrun numbers its processes so


def say(message: str) -> None:
    """A line on standard error."""
    if _FIRST:
        click.echo(message, err=True)


def without_other_bars() -> None:
    """Switch the bars of transformers off: ours are enough."""
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]


def load(name: str, device: str = "cpu") -> tuple[Any, Any]:
    """A model and its processor, with our own words about what takes long, and no bars of transformers.

    Args:
        name, device: as in `vlbm.load`.
    """
    import vlbm

    without_other_bars()
    return vlbm.load(name, progress=say, device=device)


def show(line: str) -> None:
    """A line of the result, on standard output."""
    if _FIRST:
        click.echo(line)


@contextmanager
def bars() -> Iterator[Any]:
    """Progress bars on standard error, one a stage: a function of stage, done, total and a note."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not _FIRST) as progress:
        tasks: dict[str, Any] = {}

        def tell(stage: str, done: int, total: int, note: str) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total, note=note)
            progress.update(tasks[stage], completed=done, total=total, note=note)

        yield tell
