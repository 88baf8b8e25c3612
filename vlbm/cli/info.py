"""`vlbm info`: say what a model is made of."""

from __future__ import annotations

from typing import Any

import click

from vlbm.cli.terminal import say


@click.command()
@click.option("--model", default="packaged", show_default=True, help="'packaged', a folder, or a name on a hub.")
def info(model: str) -> None:
    """Say what a model is made of."""
    import vlbm

    loaded, _ = vlbm.load(model, progress=say)
    config = loaded.config
    rows: dict[str, Any] = {
        "language model": f"{config.text_config.model_type}, {config.text_config.num_hidden_layers} layers of "
        f"{config.text_config.hidden_size}, context {config.text_config.max_position_embeddings}",
        "encoder": f"{config.encoder_spec.name}, grid of {config.encoder_spec.cells} x {config.encoder_spec.width}",
        "fusion": f"{config.fusion} after layers {', '.join(map(str, config.fusion_layers))}",
        "visual memory": f"{config.memory_pictures} pictures",
        "names": f"{config.class_groups} everyday names",
    }
    for part in ("language_model", "encoder", "memory", "fusions"):
        rows[f"parameters of {part}"] = f"{sum(p.numel() for p in getattr(loaded, part).parameters()):,}"
    for name, value in rows.items():
        click.echo(f"{name}: {value}")
