"""Every fusion with three encoders and two language models on the synthetic proof; writes docs/experiments.md.

    make experiments                 all (about 20 minutes on 2 cores)
    make experiments ARGS="--fusion sum_channel --encoder resnet18"

Each row is one training from scratch, with the same seed. What was measured is written after each row, so a run that is
stopped loses at most the one at hand.
"""

from __future__ import annotations

import os
import pickle
import platform
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click
import torch

import vlbm
from vlbm.assembly import EncoderWeights
from vlbm.evaluation.proof import PLAN, TEST, TRAIN, Proof, Seen, prove, see
from vlbm.perception import Visual

ROOT = Path(__file__).parents[1]
ENCODERS: dict[str, EncoderWeights] = {"vgg11": "random", "resnet18": "random", "efficientnet_lite0": "pretrained"}
LANGUAGE_MODELS = ("gpt2", "gru")

HEAD = """# Experiments

Written by `make experiments`.

## Does the fusion use the picture?

The synthetic proof (`vlbm.data.synthetic`, `vlbm prove`): twelve ambiguous words, two meanings each, every meaning
with a glyph of its own. A small language model (2 layers of 64, from scratch) and a fusion after both layers learn
for {steps} steps of {batch} to say what is meant, from {train} pictures that the frozen encoder saw. Then, for each
of {test} new pictures, is the right meaning likelier than the wrong one? Shown the *right* picture it should be (at
least 95 %); shown a *swapped* one, of the other meaning, it should not (at most 5 %); with a *blank* one or *none*
only chance is left (50 %): exactly, because both meanings are asked for in the same words. VGG11 and ResNet18 have
random weights: their features, standardised over the training pictures, tell shapes and colours apart well enough.
The prefix acts before the first layer.

| fusion | encoder | language model | right | swapped | blank | none | holds | s |
|---|---|---|---|---|---|---|---|---|
"""


def row(proof: Proof) -> str:
    """One line of the table."""
    shares = " | ".join(f"{value:.1%}" for value in (proof.right, proof.swapped, proof.blank, proof.none))
    holds = "yes" if proof.holds else "**no**"
    return f"| {proof.fusion} | {proof.encoder} | {proof.language_model} | {shares} | {holds} | {proof.seconds:.0f} |\n"


def write(path: Path, proofs: Sequence[Proof], seconds: float, workers: int) -> None:
    """The document, with what was measured so far; rows in the order of the registries."""
    head = HEAD.format(steps=PLAN.steps, batch=PLAN.batch, train=TRAIN, test=TEST)
    ordered = sorted(
        proofs, key=lambda proof: (proof.fusion, list(ENCODERS).index(proof.encoder), proof.language_model)
    )
    held = sum(proof.holds for proof in proofs)
    machine = (
        f"{workers} trainings at a time with a core each, {platform.machine()}, torch {torch.__version__}, "
        f"vlbm {vlbm.__version__}"
    )
    end = f"\n{held} of {len(proofs)} hold. {seconds / 60:.0f} minutes in all; {machine}; one seed.\n"
    path.write_text(head + "".join(map(row, ordered)) + end, encoding="utf-8")


def look(encoder: str, folder: Path) -> str:
    """Write what an encoder sees of all pictures, on one core; returns the encoder's name."""
    torch.set_num_threads(1)
    (folder / encoder).write_bytes(pickle.dumps(see(encoder, ENCODERS[encoder])))
    return encoder


@cache
def seen(encoder: str, folder: Path) -> tuple[Seen, Seen, Visual]:
    """What `look` has written."""
    found: tuple[Seen, Seen, Visual] = pickle.loads((folder / encoder).read_bytes())  # noqa: S301 (our own file)
    return found


def one(encoder: str, fusion: str, language_model: str, folder: Path) -> Proof:
    """One row, on one core."""
    torch.set_num_threads(1)
    train, test, nothing = seen(encoder, folder)
    return prove(fusion, language_model, encoder, train=train, test=test, nothing=nothing)


def proofs_of(encoders: Sequence[str], fusions: Sequence[str], workers: int) -> Iterator[Proof]:
    """All rows as they come: each encoder looks once, and its rows begin when it has."""
    with tempfile.TemporaryDirectory() as name, ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        folder = Path(name)
        waiting: set[Future[Any]] = {pool.submit(look, encoder, folder) for encoder in encoders}
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for result in [future.result() for future in done]:
                if isinstance(result, Proof):
                    yield result
                    continue
                rows = [(fusion, language_model) for fusion in fusions for language_model in LANGUAGE_MODELS]
                waiting |= {pool.submit(one, result, *row, folder) for row in rows}


@click.command()
@click.option("--fusion", "fusions", multiple=True, type=click.Choice(vlbm.list_fusions()), help="Default: all.")
@click.option("--encoder", "encoders", multiple=True, type=click.Choice(list(ENCODERS)), help="Default: all three.")
@click.option("--workers", type=click.IntRange(1), default=os.cpu_count(), help="Default: one a core.")
@click.option("--out", type=click.Path(path_type=Path), default=ROOT / "docs" / "experiments.md")
def main(fusions: tuple[str, ...], encoders: tuple[str, ...], workers: int, out: Path) -> None:
    """Run the proofs and write the table."""
    started, proofs = time.monotonic(), list[Proof]()
    for proof in proofs_of(encoders or tuple(ENCODERS), fusions or tuple(vlbm.list_fusions()), workers):
        proofs.append(proof)
        click.echo(f"{(time.monotonic() - started) / 60:.1f} min {row(proof)}", nl=False)
        write(out, proofs, time.monotonic() - started, workers)


if __name__ == "__main__":
    main()
