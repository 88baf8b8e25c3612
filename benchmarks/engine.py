"""How fast the engine is, beside its peers and beside the machine's limit: writes benchmarks/results.md.

    python benchmarks/engine.py [--runs 5] [--turns 2000] [--only speed --only pages ...]

Peers run in turn with ours, in one run: transformers, and llama.cpp where `llama-cpp-python` is installed
(`pip install llama-cpp-python` builds it in minutes). Medians; every run asks what was not asked before.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import torch

import vlbm
from benchmarks import stalls
from benchmarks.llama import of_llama
from vlbm.cache import default_cache_dir
from vlbm.data.records import Example
from vlbm.data.splits import RENDERINGS
from vlbm.engine import Engine, FeatureCache, GenerationRequest, Looked, Message, PictureRef, Token
from vlbm.engine.features import encode
from vlbm.engine.reader import Part
from vlbm.engine.readers import Precision, reader
from vlbm.errors import DataError
from vlbm.evaluation.card.bench import Bench
from vlbm.evaluation.pace import PROMPTS, Run, in_turn, of_engine, of_transformers, of_transformers_together
from vlbm.evaluation.scores import chrf
from vlbm.language.smollm2 import smollm2_file
from vlbm.tasks import question

TOKENS = 64


@dataclass(frozen=True, slots=True)
class Place:
    """What is measured on a kind of device: streams, batches of one pass, precisions, and the file of the report."""

    streams: tuple[int, ...]
    batches: tuple[int, ...]
    precisions: tuple[Precision, ...]
    results: Path


HERE = Path(__file__)
PLACES = {
    "cpu": Place((1, 8, 16), (1, 4, 8, 16), ("fp32", "bf16", "int8", "int4"), HERE.with_name("results.md")),
    "cuda": Place((1, 8, 64, 256), (1, 8, 64, 256), ("fp32", "bf16", "fp16"), HERE.with_name("results-gpu.md")),
}
PACKAGES = ("torch", "transformers", "llama-cpp-python")
CAPTIONS = 20  # a language
TEXTS = (
    "The sun is a star at the centre of the solar system. Light from it takes about eight minutes to reach the earth, "
    "and plants turn it into sugar. Without it there would be no wind, no rain and no life as we know it.",
    "To make bread, mix flour, water, salt and yeast, knead the dough until it is smooth, and let it rise for an hour. "
    "Shape it, let it rise again, and bake it in a hot oven until it sounds hollow when you knock on it.",
    "Anna took the early train to the coast. The carriage was nearly empty, and for a long while she watched the "
    "fields go by. When the sea came into view she closed her book, and forgot what she had meant to worry about.",
)


def speed(model: Any, processor: Any, runs: int) -> list[str]:
    """Tokens a second of several streams at the same time, ours and the peers'."""
    streams, on_gpu = _place(model).streams, model.device.type == "cuda"
    engine = Engine(model, processor, seats=max(streams))
    ours, peers = {"vlbm": of_engine(engine)}, _peers(model, processor, max(streams))
    about = (
        f"transformers in {engine.precision} with a static cache, all prompts as one batch that ends together."
        if on_gpu
        else "llama.cpp Q4_1, both with the vocabulary in 8 bits; transformers in float32, one answer after the other."
    )
    lines = [
        f"{TOKENS} tokens an answer, greedily, ours {engine.precision}, {about}",
        "",
        "| streams | | tokens/s, all | decoded/s, all | first token, ms | spread of paces | ours / theirs |",
        "|---|---|---|---|---|---|---|",
    ]
    alone = None  # how fast transformers is one after the other does not depend on how many wait
    for many in streams:
        together = ours | {name: run for name, run in peers.items() if on_gpu or many == 1 or name != "transformers"}
        found = in_turn(together, many, TOKENS, runs)
        alone = alone or found["transformers"]
        for name, pace in found.items():
            ratio = found["vlbm"].tokens_per_second / pace.tokens_per_second
            lines.append(
                f"| {many} | {name} | {pace.tokens_per_second:.0f} | {pace.decoded_per_second:.0f} | "
                f"{pace.first_token_ms:.0f} | {pace.spread:.2f} | {'' if name == 'vlbm' else f'{ratio:.1f}'} |"
            )
        if "transformers" not in found:
            ratio = found["vlbm"].tokens_per_second / alone.tokens_per_second
            lines.append(f"| {many} | transformers, as with one | | | | | {ratio:.1f} |")
        click.echo("\n".join(lines[-len(found) :]), err=True)
    engine.close()
    return lines


def _peers(model: Any, processor: Any, streams: int) -> dict[str, Run]:
    """What others do on the same device with the same language model."""
    if model.device.type == "cuda":
        half = deepcopy(model.language_model).to(torch.bfloat16)
        return {"transformers": of_transformers_together(half, processor)}
    found = {"transformers": of_transformers(model, processor)}
    if importlib.util.find_spec("llama_cpp"):
        found["llama.cpp"] = of_llama(smollm2_file(), processor, streams=streams, threads=torch.get_num_threads())
    return found


def later_turn(model: Any, processor: Any, runs: int) -> list[str]:
    """The time to the first token of a tenth turn, known so far and cold."""
    engine = Engine(model, processor)
    cold, warm, behind = list[float](), list[float](), 0
    for run in range(runs):
        talk = [Message("system", f"You are helpful. This is conversation {run}.")]
        for turn in range(9):
            talk.append(Message("user", f"Turn {turn}: {' '.join(PROMPTS[(turn + n) % 8] for n in range(8))}"))
            answer = "".join(s.text for s in engine.generate(_asked(talk, 24)) if isinstance(s, Token))
            talk.append(Message("assistant", answer))
        talk.append(Message("user", "Now say it all in one sentence."))
        behind = engine.count_tokens(talk)
        warm.append(_first(engine, talk))
        cold.append(_first(engine, [Message("system", f"You are kind. Number {run}."), *talk[1:]]))
    engine.close()
    ratio = statistics.median(w / c for w, c in zip(warm, cold, strict=True))
    return [
        f"{behind} tokens are behind the tenth turn: first token after {_ms(warm)} where they were read in earlier "
        f"turns, after {_ms(cold)} where not. Ratio {ratio:.3f} (0.1 wanted)."
    ]


def pictures(model: Any, processor: Any, runs: int) -> list[str]:
    """What a picture costs the first time and the second."""
    engine = Engine(model, processor)
    first, second, bare = list[float](), list[float](), list[float]()
    for run in range(runs + 1):
        data = [stalls.drawn(2 * run + n) for n in range(2)]
        started = time.perf_counter()
        encode(model, processor, PictureRef.of(data[0]), "en")
        bare.append(time.perf_counter() - started)
        for times in (first, second):
            started = time.perf_counter()
            steps = engine.generate(_asked([Message("user", "What is this?", (PictureRef.of(data[1]),))], 2))
            next(step for step in steps if isinstance(step, Looked))
            times.append(time.perf_counter() - started)
            list(steps)
    engine.close()
    ratio = statistics.median(f / b for f, b in zip(first[1:], bare[1:], strict=True))
    return [
        f"A picture is seen after {_ms(first[1:])} at first ({ratio:.2f} times the encoder alone, {_ms(bare[1:])}; "
        f"1.1 wanted), and after {_ms(second[1:])} the second, when it is not encoded."
    ]


def limit(model: Any, processor: Any, runs: int) -> list[str]:
    """How much of the memory's pace decoding reaches, and what each precision loses."""
    place = _place(model)
    lines = [
        f"| weights | MB read a pass | {' | '.join(f'{many} streams' for many in place.batches)} | perplexity | chrF |",
        "|---|---|" + "---|" * len(place.batches) + "---|---|",
    ]
    posed, features = _posed(model, processor), FeatureCache(capacity=2 * CAPTIONS)
    pace = bandwidth(model.device)
    for precision in place.precisions:
        read, _ = reader(model, precision, 128 * max(place.batches))
        size = read.network.weight_bytes()  # type: ignore[attr-defined]
        cells = list[str]()
        for many in place.batches:
            seconds = statistics.median(_pass(read, many, run) for run in range(max(runs, 5)))
            share = size / seconds / pace
            cells.append(f"{many / seconds:.0f}/s, {100 * share:.0f} %")
        quality = f"{_perplexity(read, processor):.2f} | {_chrf(model, processor, precision, posed, features)}"
        lines.append(f"| {precision} | {size / 1e6:.0f} | {' | '.join(cells)} | {quality} |")
        del read
    about = (
        f"Memory is read at {pace / 1e9:.1f} GB/s (a sum of 512 MB, best of 5). Perplexity of "
        f"{len(TEXTS)} texts; chrF of {len(posed)} short captions of unseen renderings, in Spanish and German"
    )
    return [about + ("." if posed else " (not measured: `vlbm data prepare` first)."), "", *lines]


def memory(model: Any, processor: Any, turns: int) -> list[str]:
    """Peak by how many run together, and growth over many turns."""
    import psutil

    process, lines = psutil.Process(os.getpid()), list[str]()
    before = process.memory_info().rss
    engine = Engine(model, processor)
    run = of_engine(engine)
    for many in _place(model).streams:
        run([f"{many} {number} {PROMPTS[number % len(PROMPTS)]}" for number in range(many)], TOKENS)
        lines.append(f"{(process.memory_info().rss - before) / 2**20:.0f} MiB with {many} together")
    sizes = list[float]()
    for number in range(turns):
        list(engine.generate(_asked([Message("user", f"What comes after {number}?")], 2)))
        sizes.append(process.memory_info().rss / 2**20)
    engine.close()
    grown = max(sizes[-len(sizes) // 10 :]) - max(sizes[: len(sizes) // 2])  # by then the cache is full
    return [
        f"The engine takes, beside the loaded model, {', '.join(lines)} (with those of the mapped weights that "
        f"were read to be packed). Over {turns} turns it grows by {grown:.1f} MiB after the first half."
    ]


def late(_model: Any, _processor: Any, runs: int) -> list[str]:
    """How late the gateway's event loop is beside a worker."""
    return stalls.measure(runs)


PARTS: dict[str, tuple[str, Callable[[Any, Any, int], list[str]]]] = {
    "memory": ("Memory", memory),  # first: what others take is kept for later ones
    "speed": ("Streams at the same time", speed),
    "later": ("The tenth turn of a conversation", later_turn),
    "pictures": ("A picture, the first time and the second", pictures),
    "limit": ("Beside the memory's pace", limit),
    "stalls": ("The event loop of the gateway beside it", late),
}


def bandwidth(device: torch.device) -> float:
    """Bytes a second that are read from a device's memory, by all threads of a CPU; best of 5."""
    values = torch.ones(128 * 2**20, device=device)
    times = list[float]()
    for _ in range(5):
        started = time.perf_counter()
        float(values.sum())
        times.append(time.perf_counter() - started)
    return values.nbytes / min(times)


def _place(model: Any) -> Place:
    return PLACES[model.device.type]


def _asked(talk: Sequence[Message], tokens: int) -> GenerationRequest:
    return GenerationRequest(tuple(talk), max_tokens=tokens, min_tokens=tokens)


def _first(engine: Engine, talk: Sequence[Message]) -> float:
    started = time.perf_counter()
    steps = engine.generate(_asked(talk, 2))
    next(step for step in steps if isinstance(step, Token))
    taken = time.perf_counter() - started
    list(steps)
    return taken


def _pass(read: Any, many: int, run: int) -> float:
    """One pass of many answers, 64 tokens behind each."""
    ids = [[(run * 7919 + stream * 101 + place * 37) % 40_000 for place in range(64)] for stream in range(many)]
    texts = [read.begin(row, 68, None) for row in ids]
    for text, row in zip(texts, ids, strict=True):
        read.read([Part(text, row[len(text.tokens) :], 1)])
    read.read([Part(text, [5], 1) for text in texts])
    started = time.perf_counter()
    read.read([Part(text, [7], 1) for text in texts])
    taken = time.perf_counter() - started
    for text in texts:
        read.end(text)
    return taken


def _perplexity(read: Any, processor: Any) -> float:
    losses = list[torch.Tensor]()
    for text in TEXTS:
        ids = processor.tokenizer(text)["input_ids"]
        begun = read.begin(ids, len(ids) + 1, None)
        (seen,) = read.read([Part(begun, ids, wanted=len(ids))])
        losses.append(
            torch.nn.functional.cross_entropy(seen.logits[:-1].cpu(), torch.tensor(ids[1:]), reduction="none")
        )
        read.end(begun)
    return float(torch.cat(losses).mean().exp())


def _posed(model: Any, processor: Any) -> list[tuple[Example, str]]:
    """Renderings that were not trained on, each with what asks for a caption in its language; none without the data."""
    folder = default_cache_dir()
    bench = Bench(
        model=model,
        processor=processor,
        data=folder / "data",
        photos=folder / "photos",
        cache=folder / "seen",
        tell=print,
    )
    try:
        found = [one for tag in ("es", "de") for one in bench.some(bench.examples(RENDERINGS, tag), CAPTIONS)]
    except DataError:
        return []
    return [(one, question("caption", language=one.language, style="short")) for one in found]


def _chrf(
    model: Any, processor: Any, precision: Precision, posed: Sequence[tuple[Example, str]], features: FeatureCache
) -> str:
    if not posed:
        return ""
    engine, said = Engine(model, processor, precision=precision, features=features, tokens=4096), list[str]()
    for example, asked in posed:
        message = Message("user", asked, (PictureRef.of(example.pictures[0].read_bytes()),))
        steps = engine.generate(GenerationRequest((message,), max_tokens=32, language=example.language))
        said.append("".join(step.text for step in steps if isinstance(step, Token)))
    engine.close()
    return f"{chrf(said, [[example.target] for example, _ in posed]).interval.value:.1f}"


def _ms(times: Sequence[float]) -> str:
    return f"{1000 * statistics.median(times):.0f} ms"


@click.command(help=__doc__)
@click.option("--runs", default=5, show_default=True, type=click.IntRange(1), help="Medians are of so many.")
@click.option("--turns", default=2000, show_default=True, type=click.IntRange(20), help="For the growth of memory.")
@click.option("--only", multiple=True, type=click.Choice(list(PARTS)), help="These parts, and print them.")
def main(runs: int, turns: int, only: tuple[str, ...]) -> None:
    """Measure, and write the report where all was measured."""
    model, processor = vlbm.load("packaged", progress=click.echo, device="auto")
    report = ["# The engine, measured", "", f"`make bench`, {datetime.now(UTC):%Y-%m-%d}: {_machine(model)}.", ""]
    for name in only or PARTS:
        title, measure = PARTS[name]
        click.echo(f"Measuring: {title}", err=True)
        part = [f"## {title}", "", *measure(model, processor, turns if name == "memory" else runs), ""]
        click.echo("\n".join(part))
        report += part
    if not only:
        _place(model).results.write_text("\n".join(report), encoding="utf-8")


def _machine(model: Any) -> str:
    device = f"{torch.cuda.get_device_name(model.device)}, " if model.device.type == "cuda" else ""
    found = [name for name in PACKAGES if importlib.util.find_spec(name.removesuffix("-python").replace("-", "_"))]
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in found)
    return f"{device}{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, {versions}"


if __name__ == "__main__":
    main()
