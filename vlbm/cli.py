"""The `vlbm` command: caption pictures, prepare data, train, and say what the model is.

Heavy imports live inside the commands, so that `--help` answers at once. Errors of `vlbm` end as one line,
exit status 2.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from vlbm.errors import VLBMError

EXIT_ERROR = 2


class _Group(click.Group):
    """Turns the library's errors into one line on standard error."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except VLBMError as error:
            click.echo(f"vlbm: {error}", err=True)
            sys.exit(EXIT_ERROR)


@click.group(cls=_Group)
@click.version_option(package_name="vlbm-assistant", prog_name="vlbm")
def main() -> None:
    """Visually augmented language models."""


def _say(message: str) -> None:
    click.echo(message, err=True)


@contextmanager
def _bars() -> Iterator[Any]:
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
    with Progress(*columns, console=Console(stderr=True)) as progress:
        tasks: dict[str, Any] = {}

        def tell(stage: str, done: int, total: int, note: str) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total, note=note)
            progress.update(tasks[stage], completed=done, total=total, note=note)

        yield tell


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", default="packaged", show_default=True, help="'packaged', a folder, or a name on a hub.")
@click.option("--question", default="Describe this picture.", show_default=True, help="What to ask about each picture.")
@click.option("--max-tokens", default=60, show_default=True, type=click.IntRange(1))
def caption(files: tuple[Path, ...], model: str, question: str, max_tokens: int) -> None:
    """Caption each picture; with several, each line begins with the file's name."""
    import vlbm
    from vlbm.engine import Engine, GenerationRequest, Message, PictureRef, Token

    loaded, processor = vlbm.load(model, progress=_say)
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


@main.command()
@click.option("--model", default="packaged", show_default=True, help="'packaged', a folder, or a name on a hub.")
def info(model: str) -> None:
    """Say what a model is made of."""
    import vlbm

    loaded, _ = vlbm.load(model, progress=_say)
    config = loaded.config
    rows: dict[str, Any] = {
        "language model": f"{config.text_config.model_type}, {config.text_config.num_hidden_layers} layers of "
        f"{config.text_config.hidden_size}, context {config.text_config.max_position_embeddings}",
        "encoder": config.encoder,
        "fusion": f"{config.fusion} after layers {', '.join(map(str, config.fusion_layers))}",
        "visual memory": f"{config.memory_pictures} pictures",
        "names": f"{config.class_groups} everyday names",
    }
    for part in ("language_model", "encoder", "memory", "fusions"):
        rows[f"parameters of {part}"] = f"{sum(p.numel() for p in getattr(loaded, part).parameters()):,}"
    for name, value in rows.items():
        click.echo(f"{name}: {value}")


@main.command()
@click.option("--fusion", default="sum_channel", show_default=True, help="A name of vlbm.list_fusions().")
@click.option("--language-model", default="gpt2", show_default=True, help="gpt2, gru or lstm: small, from scratch.")
@click.option("--encoder", default="efficientnet_lite0", show_default=True, help="A name of vlbm.list_encoders().")
@click.option("--random", is_flag=True, help="Give the encoder random weights.")
@click.option("--seed", default=0, show_default=True)
def prove(fusion: str, language_model: str, encoder: str, random: bool, seed: int) -> None:
    """Prove that a fusion uses the picture: train on ambiguous words, in about a minute, without downloads."""
    from vlbm.evaluation import proof

    # Wrong names are said before pictures are looked at.
    proof.fresh(fusion, language_model, encoder)
    _say(f"Looking at {proof.TRAIN + proof.TEST} pictures")
    train, test, nothing = proof.see(encoder, "random" if random else "pretrained", seed=seed)
    with _bars() as tell:
        found = proof.prove(
            fusion,
            language_model,
            encoder,
            train=train,
            test=test,
            nothing=nothing,
            seed=seed,
            tell=lambda done, total, loss: tell("Training", done, total, f"loss {loss:.2f}"),
        )
    for name in ("right", "swapped", "blank", "none"):
        click.echo(f"{name} picture: {getattr(found, name):.1%} find the right meaning likelier")
    click.echo("the picture is used" if found.holds else "the picture is NOT proven to be used")


@main.group()
def data() -> None:
    """Prepare training data."""


@data.command()
@click.option("--cache", type=click.Path(path_type=Path), help="Where data is kept. Default: the cache folder of vlbm.")
def prepare(cache: Path | None) -> None:
    """Find or fetch the Tux Paint stamps (160 MB, GPL-2). A second run has nothing to do."""
    from vlbm.data.stamps import LICENCE, find_stamps, read_stamps
    from vlbm.packaged import default_cache_dir

    folder = find_stamps((cache or default_cache_dir()) / "data", _say)
    click.echo(f"{len(read_stamps(folder))} captioned stamps in {folder} ({LICENCE})")


@main.command()
@click.option("--recipe", type=click.Choice(["stamps"]), default="stamps", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the result. Default: the packaged weights.")
@click.option("--cache", type=click.Path(path_type=Path), help="Data, renderings, checkpoint. Default: vlbm's cache.")
@click.option("--steps", type=click.IntRange(1), help="Optimiser steps. Default: the recipe's.")
@click.option("--threads", type=click.IntRange(1), help="Threads of torch. Default: torch's own choice.")
def train(recipe: str, out: Path | None, cache: Path | None, steps: int | None, threads: int | None) -> None:
    """Train the packaged adapter. Stopped and started again, it goes on from its checkpoint."""
    from dataclasses import replace

    import torch

    from vlbm.packaged import PACKAGED_FOLDER, default_cache_dir
    from vlbm.training.loop import TrainingPlan, curve
    from vlbm.training.recipes import stamps

    if threads:
        torch.set_num_threads(threads)
    plan = replace(TrainingPlan(), **({"steps": steps} if steps else {}))
    with _bars() as tell:
        report = stamps.train(out=out or PACKAGED_FOLDER, cache_dir=cache or default_cache_dir(), plan=plan, tell=tell)
    for line in curve(report.looks):
        click.echo(line)
    click.echo(f"{report.trained:,} parameters trained on {report.stamps} stamps; written to {report.folder}")
