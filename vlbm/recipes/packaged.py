"""The packaged model, made from packages alone: `vlbm train packaged`.

Steps, each kept, so that a stopped run goes on where it was: pictures and scenes are encoded; the memory's space is
fitted; the grid is aligned with words; then the fusion is trained. Makes config.json, adapter.safetensors and
SHA256SUMS.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from vlbm import conversion, packaged
from vlbm.data.english import indefinite
from vlbm.engine import Engine, GenerationRequest, Message, Token
from vlbm.engine.text import render
from vlbm.evidence.names import Names, imagenet_names, names_in, to_tokens
from vlbm.recipes.align import align
from vlbm.recipes.evidence import Reader
from vlbm.recipes.others import CONVERSATIONS, QUESTIONS
from vlbm.recipes.pictures import LANGUAGES, NOT_REMEMBERED, Picture, pictures
from vlbm.recipes.renderings import NOTHING, Encoded, Rendering, drawer, encoded, planned
from vlbm.recipes.samples import QUESTION, Material, Samples
from vlbm.recipes.scenes import SCENES, Scenes, things
from vlbm.recipes.space import WIDTH, fit_space
from vlbm.training.curves import write_curves
from vlbm.training.fit import Fit, Point
from vlbm.training.plan import Plan

NAME_TOKENS, CAPTION_TOKENS = 14, 16
# Classes whose names are never an answer in training, to measure whether they can be spoken: one everyday name in this
# many, of those that no caption has.
UNSPOKEN = 4
MOST_UNSPOKEN = 100
# One picture in so many decides when training stops; its renderings are not trained on.
APART = 25
HELD_OUT = 240  # examples that decide
ANSWER_TOKENS = 20

PLAN = Plan(
    steps=1000,
    batch=20,
    rate=8e-4,
    gate_rate=4e-3,
    warmup=60,
    precision="bf16",
    evaluate_every=150,
    patience=100,
    seed=20261125,
)

Tell = Callable[[str, int, int, str], None]


@dataclass(frozen=True, slots=True)
class Report:
    """What a training made: the folder, its evaluations, and how much of each thing there was."""

    folder: Path
    points: Sequence[Point]
    pictures: int
    trained: int


def train(*, out: Path, cache_dir: Path, plan: Plan, tell: Tell, changes: dict[str, Any] | None = None) -> Report:
    """Train the packaged adapter.

    Args:
        out: folder of the result.
        cache_dir: data, renderings and the checkpoint are kept here.
        plan: steps and rates.
        tell: is told stage, done, total and a note.
        changes: fields of the configuration that differ, for comparisons.
    """
    torch.manual_seed(plan.seed)
    work = cache_dir / "training"
    found = pictures(cache_dir / "data", tell)
    model, processor, settings = fresh_model(found, cache_dir, changes or {}, tell)
    material = gather(model, processor, found, work, tell)
    reader = fill(model, processor, found, material, work, tell)
    beginnings = conversations(processor)
    material = replace(material, others=bare_answers(model, processor, work, tell))
    if plan.precision == "bf16":
        model.language_model.bfloat16()  # frozen: only training speed gains, what is shipped does not contain it
    held_out = apart(material)
    fit = Fit(
        model,
        train=Samples(material, reader, processor, seed=plan.seed),
        held_out=list(Samples(held_out, reader, processor, seed=1, count=HELD_OUT)),
        plan=plan,
        folder=work / "fit",
        tell=lambda done, total, loss: tell("Training", done, total, f"loss {loss:.2f}"),
        watch=lambda points: write_curves(points, work / "fit"),
        beginnings=beginnings,
    )
    points = fit.run()
    write(model, settings, out)
    return Report(out, points, len(found), sum(p.numel() for p in fit.parameters.values()))


def fresh_model(
    found: Sequence[Picture], cache_dir: Path, changes: dict[str, Any], tell: Tell
) -> tuple[Any, Any, dict[str, Any]]:
    """An untrained model with its names, its processor, and the settings that make it again."""
    from transformers import AutoConfig

    from vlbm.config import VLBMConfig

    names = imagenet_names()
    language = conversion.language_cache(cache_dir, lambda text: tell(text, 0, 1, ""))
    settings: dict[str, Any] = {
        "fusion_begins": "question",
        "languages": list(LANGUAGES),
        "class_groups": len(names.groups),
        "name_tokens": NAME_TOKENS,
        "caption_tokens": CAPTION_TOKENS,
        "memory_pictures": sum(picture.remembered for picture in found),
        "memory_width": WIDTH,
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
    table.class_tokens.copy_(to_tokens([indefinite(name) for name in names.classes], tokenizer, config.name_tokens))
    return model, processor, settings


def gather(model: Any, processor: Any, found: Sequence[Picture], work: Path, tell: Tell) -> Material:
    """Renderings and scenes, encoded."""
    rows = planned(found)
    folder = work / "renderings"
    key = hashlib.sha256("|".join(f"{p.path.name}:{p.split}" for p in found).encode()).hexdigest()
    seen = encoded(
        model,
        processor,
        drawer(found, rows),
        len(rows),
        folder,
        key=f"pictures {key}",
        mirrored=[row.plain for row in rows],
        tell=lambda done, total: tell("Encoding pictures", done, total, ""),
    )
    scenes = Scenes(things(found, "train"))
    scenes_seen = encoded(
        model,
        processor,
        scenes.draw,
        SCENES,
        folder,
        key=f"scenes {key}",
        mirrored=[False] * SCENES,
        tell=lambda done, total: tell("Encoding scenes", done, total, ""),
    )
    names = imagenet_names()
    return Material(
        pictures=found,
        rows=rows,
        seen=seen,
        allowed=[n for n, row in enumerate(rows) if row.picture == NOTHING or row.picture % APART],
        scenes=scenes,
        scenes_seen=scenes_seen,
        scene_numbers=[n for n in range(SCENES) if n % APART],
        names=names,
        classifier=model.encoder.net.classifier.weight.detach(),
        groups=[n for n in range(len(names.groups)) if n not in unspoken(names, found)],
        others=(),
    )


def apart(material: Material) -> Material:
    """What decides when training stops: renderings and scenes that are not trained on."""
    return replace(
        material,
        allowed=[n for n, row in enumerate(material.rows) if row.picture != NOTHING and row.picture % APART == 0],
        scene_numbers=[n for n in range(SCENES) if n % APART == 0],
    )


def unspoken(names: Names, found: Sequence[Picture]) -> frozenset[int]:
    """Everyday names that are never an answer in training, chosen by their digest among those that no caption has."""
    said = {word for picture in found for word in picture.phrases["en"].lower().split()}
    free = [n for n, name in enumerate(names.groups) if name.lower().split()[-1] not in said]
    digests = {n: hashlib.sha256(names.groups[n].encode()).hexdigest() for n in free}
    chosen = [n for n in free if int(digests[n][:8], 16) % UNSPOKEN == 0]
    return frozenset(sorted(chosen, key=lambda n: digests[n])[:MOST_UNSPOKEN])


def fill(model: Any, processor: Any, found: Sequence[Picture], material: Material, work: Path, tell: Tell) -> Reader:
    """Fit the memory's space, fill the memory, and align the grid with words; each is kept."""
    rows, seen = material.rows, material.seen
    plain = [n for n, row in enumerate(rows) if row.plain and found[row.picture].remembered]
    owners = [rows[n].picture for n in plain]
    space = _kept(work / "space.safetensors", lambda: _space(found, rows, seen, tell))
    project = _kept(work / "project.safetensors", lambda: _project(model, processor, material, tell))
    model.memory.project.load_state_dict(project)
    memory = model.evidence.memory
    memory.mean.copy_(space["mean"])
    memory.scale.copy_(space["scale"])
    memory.space.copy_(space["matrix"])
    memory.vote.copy_(space["vote"])
    memory.features.copy_(memory.direction(seen.style[plain]))
    things_shown = [found[owner].phrases["en"] for owner in owners]
    for number, tag in enumerate(LANGUAGES):
        texts = [found[owner].phrases.get(tag, "") for owner in owners]
        memory.tokens[number].copy_(to_tokens(texts, processor.tokenizer, CAPTION_TOKENS))
    same = {thing: number for number, thing in enumerate(dict.fromkeys(things_shown))}
    memory.caption.copy_(torch.tensor([same[thing] for thing in things_shown]))
    concepts = [found[owner].concept for owner in owners]
    return Reader(model.evidence, processor.tokenizer, things_shown, concepts, owners)


def _kept(path: Path, make: Callable[[], dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """What was made before, or is made now."""
    if not path.is_file():
        part = path.with_suffix(".part")
        save_file({name: value.contiguous() for name, value in make().items()}, part)
        part.rename(path)
    return load_file(path)


def _project(model: Any, processor: Any, material: Material, tell: Tell) -> dict[str, torch.Tensor]:
    scenes = [material.scenes.facts(n) for n in range(SCENES)]
    names = sorted({thing.name for thing in material.scenes.things})
    right = align(
        model,
        processor.tokenizer,
        material.scenes_seen.grid,
        scenes,
        names,
        lambda done, total: tell("Aligning the grid with words", done, total, ""),
    )
    tell("Aligning the grid with words", 1, 1, f"{right:.0%} of cells name what they show")
    return dict(model.memory.project.state_dict())


def _space(found: Sequence[Picture], rows: Sequence[Rendering], seen: Encoded, tell: Tell) -> dict[str, torch.Tensor]:
    shown = [n for n, row in enumerate(rows) if row.picture != NOTHING]
    pictured = [found[rows[n].picture] for n in shown]
    space = fit_space(
        seen.style[shown],
        thing=[picture.phrases["en"] for picture in pictured],
        concept=[picture.concept for picture in pictured],
        remembered=[picture.remembered and rows[n].plain for picture, n in zip(pictured, shown, strict=True)],
        owner=[rows[n].picture for n in shown],
        stranger=[picture.maker in NOT_REMEMBERED for picture in pictured],
        tell=lambda done, total: tell("Fitting the memory's space", done, total, ""),
    )
    return asdict(space)


def conversations(processor: Any) -> list[tuple[int, ...]]:
    """What stands before questions: token ids of a system prompt, and of an earlier exchange."""
    mark = processor.tokenizer(QUESTION, add_special_tokens=False)["input_ids"]
    found = []
    for talk in CONVERSATIONS:
        ids = render(processor, [*talk, Message("user", "?")])
        begin = next(n for n in range(len(ids) - len(mark), -1, -1) if ids[n : n + len(mark)] == mark)
        found.append(tuple(ids[:begin]))
    return found


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
