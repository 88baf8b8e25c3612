"""The packaged recipe with a part left out, with other fusions, and with other seeds; writes docs/comparisons.md.

    make comparisons                            all (each an estimated 45 minutes on 2 cores)
    make comparisons ARGS="--only product --steps 100"

Each row is one training of so many steps from the same renderings, regions and fits, asked the same questions. What was
measured is kept after each row, and a training that was stopped goes on where it was. Lite0 has its own renderings and
fits, which take half an hour.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import click
import torch

from vlbm.cache import default_cache_dir
from vlbm.cli.terminal import bars
from vlbm.data.splits import RENDERINGS, TRAIN
from vlbm.evaluation.card.bench import Bench
from vlbm.evaluation.card.composed import TARGETS, posed_scenes, right
from vlbm.evaluation.card.named import things_of
from vlbm.evaluation.card.parts import CLASSES, REGIONS, without, without_grid
from vlbm.evaluation.card.things import Thing
from vlbm.evaluation.naming import Posed
from vlbm.evaluation.photos import foreign_photos
from vlbm.evidence.runs import ALIAS, CAPTION
from vlbm.packaged import load_packaged
from vlbm.perception import Visual
from vlbm.recipes.packaged import PLAN, fused, prepare, write
from vlbm.recipes.pictures import pictures
from vlbm.recipes.scenes import Scenes, things

ROOT = Path(__file__).parents[1]
STEPS, DRAWN, SCENES = 300, 120, 60
KEPT_EVERY = 50  # steps: a training that was stopped loses no more
HEAD = """# Comparisons

Written by `make comparisons`: the packaged recipe ([model.md](model.md)), {steps} steps each in place of {full}, one
thing changed at a time. Shares in percent, greedy answers: all real photos and {drawn} unseen renderings named,
{scenes} questions a skill about composed scenes. Loss is that of 240 held-out examples, seen with the same change.
{machine}.

| training | parameters | held-out loss | photos | renderings | {skills} | minutes |
|---|---|---|---|---|---|{lines}---|
"""


@dataclass(frozen=True, slots=True)
class Variant:
    """A training: fields of the configuration that differ, what is changed of what is seen, and the seed."""

    settings: dict[str, Any] = field(default_factory=dict)
    change: Callable[[Visual], Visual] | None = None
    seed: int = PLAN.seed


VARIANTS = {
    "as packaged": Variant(),
    "without names of classes": Variant(change=without(*CLASSES)),
    "without the visual memory": Variant(change=without(CAPTION)),
    "without regions": Variant(change=without(*REGIONS)),
    "without the grid": Variant(change=without_grid),
    "the grid alone": Variant(change=without(*range(ALIAS + 1))),
    "product": Variant({"fusion": "product"}),
    "prefix": Variant({"fusion": "prefix", "fusion_layers": []}),
    "a weight a token": Variant({"fusion": "sum_token"}),
    "a weight a channel": Variant({"fusion": "sum_channel"}),
    "EfficientNet-Lite0": Variant({"encoder": "efficientnet_lite0"}),
    "seed 2": Variant(seed=2),
    "seed 3": Variant(seed=3),
}


@click.command()
@click.option("--only", multiple=True, type=click.Choice(list(VARIANTS)), help="Of the trainings; may be repeated.")
@click.option("--steps", default=STEPS, show_default=True, type=click.IntRange(1), help="Of each training.")
@click.option("--out", default=ROOT / "docs" / "comparisons.md", type=click.Path(dir_okay=False, path_type=Path))
def main(only: tuple[str, ...], steps: int, out: Path) -> None:
    """Train and ask each variant that was not, and write the table."""
    cache = default_cache_dir() / "training" / "comparisons" / str(steps)
    for name in only or VARIANTS:
        kept = cache / name.replace(" ", "-")
        if not (kept / "row.json").is_file():
            row = measured(VARIANTS[name], steps, kept)
            (kept / "row.json").write_text(json.dumps(row), encoding="utf-8")
        click.echo(f"{name}: {(kept / 'row.json').read_text(encoding='utf-8')}")
    rows = {name: cache / name.replace(" ", "-") / "row.json" for name in VARIANTS}
    found = {name: json.loads(path.read_text(encoding="utf-8")) for name, path in rows.items() if path.is_file()}
    out.write_text(table(found, steps), encoding="utf-8")


def measured(variant: Variant, steps: int, folder: Path) -> dict[str, float]:
    """Train a variant and ask it."""
    started = time.monotonic()
    torch.manual_seed(variant.seed)
    with bars() as tell:
        ready = prepare(default_cache_dir(), variant.settings, tell)
        plan = replace(PLAN, steps=steps, evaluate_every=min(KEPT_EVERY, steps), seed=variant.seed)
        fit = fused(ready, plan, folder / "fit", tell, variant.change)
        points = fit.run()
        write(ready.model, ready.settings, folder / "weights")
        minutes = (time.monotonic() - started) / 60
        parameters = sum(parameter.numel() for parameter in fit.parameters.values())
        shares = asked(folder / "weights", variant.change or (lambda visual: visual), tell)
    return {"parameters": parameters, "loss": points[-1].held_out, **shares, "minutes": minutes}


def asked(weights: Path, change: Callable[[Visual], Visual], tell: Any) -> dict[str, float]:
    """Shares of right answers in percent."""
    model, processor = load_packaged(folder=weights)
    cache = default_cache_dir()
    bench = Bench(
        model=model, processor=processor, data=cache / "data", photos=cache / "photos", cache=cache, tell=tell
    )
    photos = [Thing(one.name, one.data, one.words) for one in foreign_photos(bench.photos, tell=lambda _: None)]
    drawn = things_of(bench.some(bench.examples(RENDERINGS), DRAWN))
    shares = {}
    for what, shown in (("photos", photos), ("renderings", drawn)):
        said = bench.ask(what, [Posed(thing.picture) for thing in shown], change=change)
        shares[what] = _share([thing.named(one.text) for thing, one in zip(shown, said, strict=True)])
    found = Scenes(things(pictures(bench.data, tell), TRAIN), seed=bench.seed + 1)
    for skill in TARGETS:
        posed = list(islice(posed_scenes(found, skill, bench.seed), SCENES))
        said = bench.ask(skill, [Posed(one.picture, one.asked.question) for one in posed], max_tokens=24, change=change)
        shares[skill] = _share(right(posed, [one.text for one in said]))
    return shares


def table(found: dict[str, dict[str, float]], steps: int) -> str:
    """The page."""
    head = HEAD.format(
        steps=steps,
        full=PLAN.steps,
        drawn=DRAWN,
        scenes=SCENES,
        machine=f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
        skills=" | ".join(TARGETS),
        lines="---|" * len(TARGETS),
    )
    rows = []
    for name, row in found.items():
        shares = " | ".join(f"{row[what]:.0f}" for what in ("photos", "renderings", *TARGETS))
        rows.append(f"| {name} | {row['parameters']:,.0f} | {row['loss']:.3f} | {shares} | {row['minutes']:.0f} |")
    return head + "\n".join(rows) + "\n"


def _share(hits: list[bool]) -> float:
    return 100 * sum(hits) / len(hits)


if __name__ == "__main__":
    main()
