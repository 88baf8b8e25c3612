"""What a visual memory gives: is a thing named that the model was taught with one other picture, and what search costs.

    vlbm data prepare emoji
    python benchmarks/memory.py

For each held-out concept of the emoji that several makers drew, one maker's picture is asked about, before and after
another maker's was added to the memory. An answer counts if it has the concept's head noun;
so does the caption of the nearest remembered picture, which is what the memory alone would say.
"""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path

import click
import torch

import vlbm
from vlbm.data.prepared import Prepared, prepared
from vlbm.data.records import Example
from vlbm.data.sources import source
from vlbm.engine import Engine
from vlbm.errors import DataError
from vlbm.evaluation.confidence import wilson
from vlbm.evaluation.naming import QUESTION, first_run, say
from vlbm.evaluation.nouns import forms
from vlbm.evaluation.photos import named
from vlbm.evidence.table import CAPTION
from vlbm.memory.teach import attach, look_at
from vlbm.packaged import default_cache_dir


def pairs(found: Prepared, shown: str, taught: str) -> list[tuple[Example, Example]]:
    """For each held-out concept: one maker's picture to ask about, and the same emoji by another one to teach."""
    by_name: dict[str, dict[str, Example]] = defaultdict(dict)
    for example in found.examples():
        if example.split == "held_out_concepts" and example.language == "en":
            by_name[example.target][example.pictures[0].parent.name] = example
    both = [makers for makers in by_name.values() if {shown, taught} <= makers.keys()]
    first = {makers[shown].concept: makers for makers in reversed(both)}  # one emoji a concept
    return [(makers[shown], makers[taught]) for _, makers in sorted(first.items(), key=str)]


def share(engine: Engine, asked: list[Example]) -> tuple[int, list[str]]:
    """How many are named, and all that was said."""
    said = [say(engine, example.pictures[0].read_bytes(), QUESTION) for example in asked]
    return sum(hits(said, asked)), said


def hits(said: list[str], asked: list[Example]) -> list[bool]:
    """Whether each text has its concept's head noun."""
    return [named(text, forms(example.concept or "")) for text, example in zip(said, asked, strict=True)]


def search_milliseconds(model: vlbm.VLBMForConditionalGeneration, pictures: int) -> float:
    """Median of 5: one picture compared with so many."""
    width = model.config.encoder_spec.width
    kept, one = torch.nn.functional.normalize(torch.randn(pictures, width), dim=1), torch.randn(1, width)
    times = []
    for _ in range(5):
        started = time.perf_counter()
        (torch.nn.functional.normalize(one, dim=1) @ kept.T).topk(min(3, pictures), dim=1)
        times.append(1000 * (time.perf_counter() - started))
    return sorted(times)[2]


@click.command()
@click.option("--shown", default="noto", show_default=True, help="The maker whose pictures are asked about.")
@click.option("--taught", default="fluent", show_default=True, help="The maker whose pictures are taught.")
@click.option("--cache", type=click.Path(path_type=Path), help="Where data is kept. Default: the cache folder of vlbm.")
def main(shown: str, taught: str, cache: Path | None) -> None:
    """Ask, teach, ask again; then time the search."""
    found = prepared(source("emoji"), (cache or default_cache_dir()) / "data")
    if found is None:
        raise DataError("the emoji are not prepared: run `vlbm data prepare emoji`")
    asked, lessons = (list(side) for side in zip(*pairs(found, shown, taught), strict=True))
    model, processor = vlbm.load_packaged()
    before, _ = share(Engine(model, processor), asked)
    started = time.perf_counter()
    index, _ = look_at(model, processor, lessons, lambda _done, _total: None)
    attach(model, processor, index)
    seconds = time.perf_counter() - started
    after, said = share(Engine(model, processor), asked)
    nearest = [first_run(model, processor, example.pictures[0].read_bytes(), CAPTION) for example in asked]
    click.echo(f"{len(asked)} held-out concepts; taught in {seconds:.1f} s")
    counts = {"by the model before": before, "by the model after": after, "by the nearest": sum(hits(nearest, asked))}
    for name, count in counts.items():
        click.echo(f"named {name}: {count} ({wilson(count, len(asked))})")
    for example, text in list(zip(asked, said, strict=True))[:25]:
        click.echo(f"  {example.target}: {text}")
    for pictures in (1_000, 10_000, 100_000):
        click.echo(f"search among {pictures:,}: {search_milliseconds(model, pictures):.1f} ms")


if __name__ == "__main__":
    main()
