"""The report's plots, as PNG files: what the right picture changes, and for how many questions.

They are made of nothing but what report.json has.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vlbm.errors import ConfigError

CONGRUENCE, CONTRAST, GAINS = "congruence.png", "contrast.png", "gain.png"
COLOURS = {"right": "tab:green", "swapped": "tab:red", "blank": "tab:gray", "none": "tab:blue"}
ACROSS = 3


def need_matplotlib() -> Any:
    """matplotlib's Figure.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError(f"plots need {error.name}: pip install 'vlbm-assistant[train]'") from error
    return Figure


def write_plots(report: Mapping[str, Any], folder: Path) -> list[str]:
    """Write the plots that the report has values for, and return their names."""
    tables = report["tables"]
    pictured = {name: tables[name] for name in report["gains"]}
    contrasts = {name: table for name, table in tables.items() if name not in pictured and "right" in table["ways"]}
    written = []
    if pictured:
        _bars(pictured, "log-likelihood", "nats a token of the reference", folder / CONGRUENCE)
        _histograms(report["gains"], folder / GAINS)
        written += [CONGRUENCE, GAINS]
    if contrasts:
        _bars(contrasts, "accuracy", "right answers that are likelier, %", folder / CONTRAST)
        written.append(CONTRAST)
    return written


def _panels(count: int) -> tuple[Any, list[Any]]:
    """A figure with so many plots."""
    across = min(count, ACROSS)
    down = -(-count // across)
    figure = need_matplotlib()(figsize=(4.5 * across, 3.5 * down), layout="constrained")
    found = figure.subplots(down, across, squeeze=False).flatten().tolist()
    for unused in found[count:]:
        unused.set_axis_off()
    return figure, found


def _bars(tables: Mapping[str, Any], measure: str, label: str, path: Path) -> None:
    figure, panels = _panels(len(tables))
    for panel, (name, table) in zip(panels, tables.items(), strict=False):
        rows = {way: table["ways"][way][measure] for way in COLOURS if way in table["ways"]}
        values = [row["value"] for row in rows.values()]
        below = [max(0.0, row["value"] - row["low"]) for row in rows.values()]  # equal ones may differ by a rounding
        above = [max(0.0, row["high"] - row["value"]) for row in rows.values()]
        panel.bar(list(rows), values, yerr=[below, above], capsize=4, color=[COLOURS[way] for way in rows])
        panel.set(title=f"{name}, n = {table['questions']}", ylabel=label)
        if measure == "accuracy":
            panel.axhline(50, color="black", linewidth=0.8, linestyle="--")
            panel.set_ylim(0, 100)
    figure.savefig(path, dpi=120)


def _histograms(gains: Mapping[str, list[float]], path: Path) -> None:
    figure, panels = _panels(len(gains))
    for panel, (name, values) in zip(panels, gains.items(), strict=False):
        panel.hist(values, bins=min(30, max(5, len(values) // 4)), color=COLOURS["right"])
        panel.axvline(0, color="black", linewidth=0.8, linestyle="--")
        above = sum(value > 0 for value in values) / len(values)
        panel.set(title=f"{name}: above 0 for {above:.0%}", xlabel="gain, nats a token", ylabel="questions")
    figure.savefig(path, dpi=120)
