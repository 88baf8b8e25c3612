"""`vlbm info`: say what a model is made of."""

from __future__ import annotations

import click

from vlbm.cli.terminal import load


@click.command()
@click.argument("model", default="packaged")
def info(model: str) -> None:
    """Say what MODEL is made of: 'packaged' (the default), a folder, or a name on a hub."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from vlbm.description import bytes_a_token, describe

    loaded, _ = load(model)
    table = Table(box=None, pad_edge=False)
    for title in ("part", "what", "shapes"):
        table.add_column(title, overflow="fold")
    for title in ("parameters", "trainable", "memory"):
        table.add_column(title, justify="right", no_wrap=True)
    for part in describe(loaded):
        numbers = (f"{part.parameters:,}", f"{part.trainable:,}", f"{part.bytes / 1e6:,.1f} MB")
        table.add_row(part.name, part.what, escape(part.shape), *numbers, end_section=part.name == "fusions")
    Console(width=None if Console().is_terminal else 160).print(table)
    click.echo('b batch, t text tokens, e evidence tokens; trainable: by `vlbm train` with trained = "fusion"')
    click.echo(f"context: {bytes_a_token(loaded.config.text_config):,} bytes a token in float32")
