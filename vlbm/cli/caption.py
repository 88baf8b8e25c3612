"""`vlbm caption`: say what pictures show."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import click

from vlbm.cli.terminal import say


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", default="packaged", show_default=True, help="'packaged', a folder, or a name on a hub.")
@click.option("--question", default="Describe this picture.", show_default=True, help="What to ask about each picture.")
@click.option("--max-tokens", default=60, show_default=True, type=click.IntRange(1))
def caption(files: tuple[Path, ...], model: str, question: str, max_tokens: int) -> None:
    """Caption each picture; with several, each line begins with the file's name."""
    import vlbm
    from vlbm.engine import Engine, GenerationRequest, Message, PictureRef, Token

    loaded, processor = vlbm.load(model, progress=say)
    engine = Engine(loaded, processor)
    for path in files:
        picture = PictureRef(hashlib.sha256(path.read_bytes()).hexdigest(), path.read_bytes)
        request = GenerationRequest((Message("user", question, (picture,)),), max_tokens=max_tokens)
        if len(files) > 1:
            click.echo(f"{path}: ", nl=False)
        for step in engine.generate(request):
            if isinstance(step, Token):
                click.echo(step.text, nl=False)
                sys.stdout.flush()
        click.echo()
