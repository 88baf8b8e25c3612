"""Every fusion with three encoders and two language models on the synthetic proof; writes docs/experiments.md.

    make experiments                 all (about a quarter of an hour on 2 cores)
    make experiments ARGS="--fusion sum_channel --encoder resnet18"

Each row is one training from scratch, with the same seed. What was measured is written after each row, so a run that is
stopped loses at most the one at hand.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from multiprocessing import get_context
from pathlib import Path

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
only chance is left (50 %). VGG11 and ResNet18 have random weights: their features, standardised over the training
pictures, tell shapes and colours apart well enough.

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


@cache
def seen(encoder: str) -> tuple[Seen, Seen, Visual]:
    """What an encoder sees, once a worker."""
    return see(encoder, ENCODERS[encoder])


def one(encoder: str, fusion: str, language_model: str) -> Proof:
    """One row, on one core."""
    torch.set_num_threads(1)
    train, test, nothing = seen(encoder)
    return prove(fusion, language_model, encoder, train=train, test=test, nothing=nothing)


@click.command()
@click.option("--fusion", "fusions", multiple=True, type=click.Choice(vlbm.list_fusions()), help="Default: all.")
@click.option("--encoder", "encoders", multiple=True, type=click.Choice(list(ENCODERS)), help="Default: all three.")
@click.option("--workers", type=click.IntRange(1), default=os.cpu_count(), help="Default: one a core.")
@click.option("--out", type=click.Path(path_type=Path), default=ROOT / "docs" / "experiments.md")
def main(fusions: tuple[str, ...], encoders: tuple[str, ...], workers: int, out: Path) -> None:
    """Run the proofs and write the table."""
    started, proofs = time.monotonic(), list[Proof]()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = [
            pool.submit(one, encoder, fusion, language_model)
            for encoder in encoders or ENCODERS
            for fusion in fusions or vlbm.list_fusions()
            for language_model in LANGUAGE_MODELS
        ]
        for future in as_completed(waiting):
            proofs.append(future.result())
            click.echo(f"{len(proofs)}/{len(waiting)} {row(proofs[-1])}", nl=False)
            write(out, proofs, time.monotonic() - started, workers)


if __name__ == "__main__":
    main()
