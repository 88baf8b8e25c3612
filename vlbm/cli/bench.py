"""`vlbm bench`: how fast answers come."""

from __future__ import annotations

import json
import platform
from typing import Any

import click

from vlbm.cli.terminal import say

PEERS = ("transformers",)
PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8", "int4")


def _numbers(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[int, ...]:
    parts = [part.strip() for part in value.split(",")]
    if not all(part.isdigit() and int(part) > 0 for part in parts):
        raise click.BadParameter(f"{value!r} is not a list of numbers such as 1,8")
    return tuple(map(int, parts))


@click.command()
@click.option("--model", default="packaged", show_default=True, help="A name or folder, as in `vlbm caption`.")
@click.option("--streams", default="1,8", show_default=True, callback=_numbers, help="Answers at the same time.")
@click.option("--tokens", default=64, show_default=True, type=click.IntRange(2), help="Of each answer.")
@click.option("--runs", default=5, show_default=True, type=click.IntRange(1), help="Medians are taken of so many.")
@click.option("--precision", default="auto", show_default=True, type=click.Choice(PRECISIONS))
@click.option("--peer", multiple=True, type=click.Choice(PEERS), help="Measure it too, in turn.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def bench(
    model: str,
    streams: tuple[int, ...],
    tokens: int,
    runs: int,
    precision: Any,
    peer: tuple[str, ...],
    as_json: bool,
) -> None:
    """Measure tokens a second and the time to the first one, of text alone, greedily."""
    import torch
    import transformers

    import vlbm
    from vlbm.engine import Engine
    from vlbm.evaluation import pace

    loaded, processor = vlbm.load(model, progress=say, device="auto")
    engine = Engine(loaded, processor, name=model, precision=precision, seats=max(streams))
    measured = {"vlbm": pace.of_engine(engine)}
    if "transformers" in peer:
        measured["transformers"] = pace.of_transformers(loaded, processor)
    rows = []
    for many in streams:
        say(f"Measuring {many} at the same time")
        found = pace.in_turn(measured, many, tokens, runs)
        rows.append({"streams": many, **{name: _row(one) for name, one in found.items()}})
    engine.close()
    versions = {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
    }
    report = {
        "model": model,
        "precision": engine.precision,
        "tokens": tokens,
        "runs": runs,
        "machine": f"{platform.machine()}, {_device(loaded.device)}",
        "versions": versions,
        "results": rows,
    }
    click.echo(json.dumps(report) if as_json else _table(report))


def _device(device: Any) -> str:
    import torch

    on_gpu = device.type == "cuda"
    return torch.cuda.get_device_name(device) if on_gpu else f"{torch.get_num_threads()} threads"


def _row(one: Any) -> dict[str, float]:
    return {name: round(getattr(one, name), 2) for name in one.__slots__}


def _table(report: dict[str, Any]) -> str:
    lines = [f"{report['model']}, {report['precision']}, {report['tokens']} tokens, {report['machine']}"]
    for row in report["results"]:
        for name, found in row.items():
            if name != "streams":
                lines.append(
                    f"{row['streams']:4} at a time  {name:13} {found['tokens_per_second']:8.1f} tokens/s  "
                    f"first after {found['first_token_ms']:7.1f} ms  spread {found['spread']:.2f}"
                )
    return "\n".join(lines)
