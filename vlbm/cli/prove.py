"""`vlbm prove`: does a fusion use the picture?"""

from __future__ import annotations

import click

from vlbm.cli.terminal import bars, say


@click.command()
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
    say(f"Looking at {proof.TRAIN + proof.TEST} pictures")
    train, test, nothing = proof.see(encoder, "random" if random else "pretrained", seed=seed)
    with bars() as tell:
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
