"""The packaged model, made from packages alone: `vlbm train packaged`.

Steps, each kept, so that a stopped run goes on where it was: pictures, scenes and their regions are encoded
(`material`); what evidence rests on is fitted (`filling`); then the fusion is trained. Makes config.json,
adapter.safetensors and SHA256SUMS.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from vlbm import conversion, packaged
from vlbm.data.english import indefinite
from vlbm.engine import Engine, GenerationRequest, Message, Token
from vlbm.engine.text import render
from vlbm.evidence.asked import folded, relation_words
from vlbm.evidence.kinds import KINDS, kind_of_class
from vlbm.evidence.names import imagenet_names, names_in, to_tokens
from vlbm.fingerprint import fingerprint
from vlbm.recipes.evidence import Reader
from vlbm.recipes.filling import CAPTION_TOKENS, fill
from vlbm.recipes.material import Material, Tell, apart, digest, gather
from vlbm.recipes.others import CONVERSATIONS, QUESTIONS
from vlbm.recipes.pictures import LANGUAGES, Picture, pictures
from vlbm.recipes.samples import Change, Samples
from vlbm.recipes.space import WIDTH
from vlbm.training.curves import write_curves
from vlbm.training.fit import PARTS, Fit, Point
from vlbm.training.plan import Plan
from vlbm.weights_file import read_weights

NAME_TOKENS = 14
# Regions of a picture that are looked at.
REGIONS = 6
# Of the steps before the training: what older steps have kept does not fit newer ones.
VERSION = 4
HELD_OUT = 240  # examples that decide
ANSWER_TOKENS = 20

PLAN = Plan(
    steps=1100,
    batch=64,
    rate=1e-3,
    gate_rate=5e-3,
    warmup=100,
    precision="bf16",
    evaluate_every=200,
    patience=100,
    seed=20261125,
)
# Of a training that goes on from trained weights.
FURTHER = replace(PLAN, steps=540, rate=6e-4, gate_rate=3e-3, warmup=30, evaluate_every=90, seed=20261134)


@dataclass(frozen=True, slots=True)
class Report:
    """What a training made: the folder, its evaluations, and how much of each thing there was."""

    folder: Path
    points: Sequence[Point]
    pictures: int
    trained: int


@dataclass(frozen=True, slots=True)
class Ready:
    """All that a training of the fusion starts from.

    Attributes:
        model, processor: the model with its evidence, untrained.
        settings: of its configuration.
        material, reader: what examples are made of.
        kept: folder of what was fitted.
        start: short digest of the trained weights that it goes on from; empty where it begins from nothing.
    """

    model: Any
    processor: Any
    settings: dict[str, Any]
    material: Material
    reader: Reader
    kept: Path
    start: str = ""


def train(*, out: Path, cache_dir: Path, plan: Plan, tell: Tell, start: Path | None = None, workers: int = 0) -> Report:
    """Train the packaged adapter, on a GPU where there is one.

    Args:
        out: folder of the result.
        cache_dir: data, renderings and the checkpoint are kept here.
        plan: steps and rates.
        tell: is told stage, done, total and a note.
        start: folder of an adapter whose fusion is trained further; else it begins from nothing.
        workers: processes that draw pictures and make examples meanwhile.

    Raises:
        WeightsMissing: `start` has no adapter.
        WeightsDamaged: it cannot be read, or is of another model.
    """
    torch.manual_seed(plan.seed)
    ready = prepare(cache_dir, {}, tell, workers, start)
    folder = ready.kept / (f"fit-from-{ready.start}" if ready.start else "fit")
    fit = fused(ready, plan, folder, tell, workers=workers)
    points = fit.run()
    write(ready.model, ready.settings, out)
    trained = sum(parameter.numel() for parameter in fit.parameters.values())
    return Report(out, points, len(ready.material.pictures), trained)


def prepare(cache_dir: Path, changes: dict[str, Any], tell: Tell, workers: int = 0, start: Path | None = None) -> Ready:
    """Do everything but the training of the fusion; what was done before is read.

    Args:
        cache_dir: data, renderings and fits are kept here.
        changes: fields of the configuration that differ, for comparisons.
        tell: is told stage, done, total and a note.
        workers: processes that draw.
        start: folder of an adapter whose fusion is taken.

    Raises:
        WeightsMissing, WeightsDamaged: of `start`; they come before the work.
    """
    found = pictures(cache_dir / "data", tell)
    model, processor, settings = fresh_model(found, cache_dir, changes, tell)
    learned = trained_before(model, start) if start else {}
    for part in (model.encoder, model.evidence.things.finder):  # the rest is little work, until it is trained
        part.to("cuda" if torch.cuda.is_available() else "cpu")
    work = cache_dir / "training" / model.config.encoder
    kept = work / f"{VERSION}-{digest(found)[:12]}"
    material = gather(model, processor, found, work, kept, tell, workers)
    reader = fill(model, processor, material, kept, tell)
    material = replace(material, others=bare_answers(model, processor, work, tell))
    if not learned:
        return Ready(model, processor, settings, material, reader, kept)
    model.load_state_dict(learned, strict=False)
    return Ready(model, processor, settings, material, reader, kept, fingerprint(sorted(learned.items()))[:12])


def trained_before(model: Any, folder: Path) -> dict[str, torch.Tensor]:
    """What learns, of an adapter of the same recipe; what was fitted for it is left out.

    Raises:
        WeightsMissing: the folder has no adapter.
        WeightsDamaged: it cannot be read, or is of another model.
    """
    learns = {name: value for name, value in model.named_parameters() if name.startswith(PARTS["fusion"])}
    return read_weights(folder / packaged.ADAPTER, learns, "this recipe's adapter", part=PARTS["fusion"])


def fused(ready: Ready, plan: Plan, folder: Path, tell: Tell, change: Change | None = None, workers: int = 0) -> Fit:
    """The training of the fusion, which goes on from its folder's checkpoint.

    Args:
        ready: what it starts from.
        plan: steps and rates.
        folder: of the checkpoint and the curves.
        tell: is told stage, done, total and a note.
        change: what examples see is changed so, for comparisons.
        workers: processes that make examples.
    """
    if plan.precision == "bf16":
        ready.model.language_model.bfloat16()  # frozen: only speed gains, what is shipped does not contain it

    def samples(material: Material, seed: int, **count: int) -> Samples:
        return Samples(material, ready.reader, ready.processor, seed=seed, change=change, **count)

    return Fit(
        ready.model,
        train=samples(ready.material, plan.seed),
        held_out=list(samples(apart(ready.material), 1, count=HELD_OUT)),
        plan=plan,
        folder=folder,
        tell=lambda done, total, loss: tell("Training", done, total, f"loss {loss:.2f}"),
        watch=lambda points: write_curves(points, folder),
        beginnings=conversations(ready.processor),
        workers=workers,
    )


def fresh_model(
    found: Sequence[Picture], cache_dir: Path, changes: dict[str, Any], tell: Tell
) -> tuple[Any, Any, dict[str, Any]]:
    """An untrained model with its names, its processor, and the settings that make it again."""
    from transformers import AutoConfig

    from vlbm.config import VLBMConfig

    names = imagenet_names()
    language = conversion.language_cache(cache_dir, lambda text: tell(text, 0, 1, ""))
    settings: dict[str, Any] = {
        "encoder": "efficientnet_lite2",
        "fusion_begins": "question",
        "languages": list(LANGUAGES),
        "class_groups": len(names.groups),
        "class_kinds": len(KINDS),
        "name_tokens": NAME_TOKENS,
        "caption_tokens": CAPTION_TOKENS,
        "memory_pictures": sum(picture.remembered for picture in found),
        "memory_width": WIDTH,
        "evidence_regions": REGIONS,
        **changes,
    }
    config = VLBMConfig(text_config=AutoConfig.from_pretrained(str(language)), **settings)
    model = packaged.assemble(config, language_file=language / conversion.LANGUAGE_FILE, fresh=True)
    processor = packaged.make_processor(config, language)
    table, tokenizer = model.evidence, processor.tokenizer
    table.group_of_class.copy_(torch.tensor(names.group_of_class))
    for number, tag in enumerate(LANGUAGES):
        texts = [indefinite(name) for name in names.groups] if tag == "en" else list(names_in(tag))
        table.group_tokens[number].copy_(to_tokens(texts, tokenizer, config.name_tokens))
        kinds = [kind.phrases[tag] for kind in KINDS]
        table.kind_tokens[number].copy_(to_tokens(kinds, tokenizer, config.name_tokens))
    table.same.copy_(folded(tokenizer, len(table.same)))
    table.relations.copy_(relation_words(tokenizer))
    table.kind_of_class.copy_(torch.tensor(kind_of_class(len(names.classes))))
    table.class_tokens.copy_(to_tokens([indefinite(name) for name in names.classes], tokenizer, config.name_tokens))
    return model, processor, settings


def conversations(processor: Any) -> list[tuple[int, ...]]:
    """What stands before questions: token ids of a system prompt, and of an earlier exchange."""
    if processor.picture_tokens:  # they begin the text
        return [()]
    asked = [render(processor, [*talk, Message("user", "?")]) for talk in CONVERSATIONS]
    return [tuple(ids[: processor.fusion_start(ids)]) for ids in asked]


def bare_answers(model: Any, processor: Any, work: Path, tell: Tell) -> list[tuple[str, tuple[int, ...]]]:
    """Questions that have nothing to do with a picture, and the untouched model's own answers; kept."""
    kept = work / "others.json"
    if not kept.is_file():
        engine, answers = Engine(model, processor), list[list[int]]()
        for number, asked in enumerate(QUESTIONS):
            request = GenerationRequest((Message("user", asked),), max_tokens=ANSWER_TOKENS)
            steps = engine.generate(request)
            answers.append([step.token_id for step in steps if isinstance(step, Token) and step.token_id is not None])
            tell("Asking the bare model", number + 1, len(QUESTIONS), "")
        kept.write_text(json.dumps(answers), encoding="utf-8")
    told = json.loads(kept.read_text(encoding="utf-8"))
    return [(asked, tuple(ids)) for asked, ids in zip(QUESTIONS, told, strict=True)]


def write(model: Any, settings: dict[str, Any], out: Path) -> None:
    """Write what is shipped."""
    out.mkdir(parents=True, exist_ok=True)
    (out / packaged.CONFIG).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    save_file(packaged.adapter_state(model), out / packaged.ADAPTER)
    (out / packaged.ADAPTER).chmod(0o644)  # safetensors makes files that only their owner may read
    packaged.write_checksums(out)
