"""`vlbm data`: the data that packages carry."""

from __future__ import annotations

from pathlib import Path

import click

from vlbm.cli.terminal import say


@click.group()
def data() -> None:
    """Prepare training data."""


@data.command()
@click.option("--cache", type=click.Path(path_type=Path), help="Where data is kept. Default: the cache folder of vlbm.")
def prepare(cache: Path | None) -> None:
    """Find or fetch the Tux Paint stamps (160 MB, GPL-2). A second run has nothing to do."""
    from vlbm.data.stamps import LICENCE, find_stamps, read_stamps
    from vlbm.packaged import default_cache_dir

    folder = find_stamps((cache or default_cache_dir()) / "data", say)
    click.echo(f"{len(read_stamps(folder))} captioned stamps in {folder} ({LICENCE})")
