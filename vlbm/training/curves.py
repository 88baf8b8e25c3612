"""How a training went: loss and gates as a PNG, and as TensorBoard's events. It knows numbers, not models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vlbm.errors import ConfigError
from vlbm.training.fit import Point

PNG, EVENTS = "curves.png", "tensorboard"


def write_curves(points: Sequence[Point], folder: Path) -> None:
    """Write `curves.png` and the events anew, from all evaluations so far.

    Raises:
        ConfigError: matplotlib or tensorboardX is not installed.
    """
    try:
        from matplotlib.figure import Figure
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise ConfigError(f"curves need {error.name}: pip install 'vlbm-assistant[train]'") from error
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    losses, gates = figure.subplots(1, 2)
    steps = [point.step for point in points]
    losses.plot(steps, [point.loss for point in points], marker=".", label="training")
    losses.plot(steps, [point.held_out for point in points], marker=".", label="held out")
    losses.set(xlabel="step", ylabel="loss (nats a token)", title="Loss")
    losses.legend()
    for number in range(len(points[0].gates) if points else 0):
        gates.plot(steps, [point.gates[number] for point in points], marker=".", label=f"fused layer {number + 1}")
    gates.set(xlabel="step", ylabel="mean |alpha|", title="Gates")
    if points and points[0].gates:
        gates.legend()
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / PNG, dpi=120)
    events = folder / EVENTS
    for old in events.glob("events.*"):
        old.unlink()
    with SummaryWriter(str(events)) as writer:
        for point in points:
            writer.add_scalar("loss/training", point.loss, point.step)
            writer.add_scalar("loss/held_out", point.held_out, point.step)
            for number, gate in enumerate(point.gates, start=1):
                writer.add_scalar(f"gate/layer_{number}", gate, point.step)
