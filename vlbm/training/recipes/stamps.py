"""The packaged adapter: trained on the Tux Paint stamps and on the names of all the encoder's classes.

Makes config.json, adapter.safetensors and SHA256SUMS in one call, and can be stopped and started again at any point.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vlbm import conversion, packaged
from vlbm.data.stamps import Stamp, find_stamps, read_stamps
from vlbm.evidence.names import imagenet_names, to_tokens
from vlbm.training.loop import Look, Trainer, TrainingPlan, concept_split
from vlbm.training.prompts import other_prompts, picture_prompts
from vlbm.training.renderings import NOTHING, Renderings, cached_render, plain_features
from vlbm.training.samples import Sampler

RENDERINGS, EMPTY, HELD_OUT, RENDER_SEED = 6, 200, 0.1, 1


@dataclass(frozen=True, slots=True)
class Report:
    """What a training made: the folder, its evaluations, and how much of each thing there was."""

    folder: Path
    looks: list[Look]
    stamps: int
    trained: int


Tell = Callable[[str, int, int, str], None]


def train(*, out: Path, cache_dir: Path, plan: TrainingPlan, tell: Tell) -> Report:
    """Train the packaged adapter.

    Args:
        out: folder of the result.
        cache_dir: pictures, renderings, prompts and checkpoints are kept here.
        plan: steps and rates.
        tell: is told stage, done, total and a note.
    """
    torch.manual_seed(plan.seed)
    stamps = read_stamps(find_stamps(cache_dir / "data", lambda text: tell(text, 0, 1, "")))
    model, processor, settings = fresh_model(stamps, cache_dir, tell)
    work = cache_dir / "training"
    renderings = cached_render(
        model,
        processor,
        stamps,
        work,
        each=RENDERINGS,
        empty=EMPTY,
        seed=RENDER_SEED,
        tell=lambda done, total: tell("Rendering and encoding", done, total, ""),
    )
    train_rows, held_out = split(stamps, renderings, plan.seed)
    others = other_prompts(
        model, processor, work / "answers.json", lambda done, total: tell("Asking the bare model", done, total, "")
    )
    model.language_model.bfloat16()  # frozen: only training speed gains, what is shipped does not contain it
    trainer = Trainer(
        model,
        processor,
        Sampler(
            model.evidence,
            imagenet_names(),
            stamps,
            renderings,
            processor.tokenizer,
            model.encoder.net.classifier.weight,
        ),
        train=train_rows,
        held_out=held_out,
        prompts=picture_prompts(np.random.default_rng(plan.seed)),
        others=others,
        plan=plan,
        folder=work,
        tell=lambda done, total, loss: tell("Training", done, total, f"loss {loss:.2f}"),
    )
    looks = trainer.run()
    write(model, settings, out)
    return Report(out, looks, len(stamps), sum(p.numel() for p in trainer.parameters.values()))


def fresh_model(stamps: list[Stamp], cache_dir: Path, tell: Tell) -> tuple[Any, Any, dict[str, Any]]:
    """An untrained model with filled evidence tables, its processor, and the settings that make it again."""
    from transformers import AutoConfig

    from vlbm.config import VLBMConfig

    names = imagenet_names()
    language = conversion.language_cache(cache_dir, lambda text: tell(text, 0, 1, ""))
    settings: dict[str, Any] = {"class_groups": len(names.groups), "memory_pictures": len(stamps)}
    config = VLBMConfig(text_config=AutoConfig.from_pretrained(str(language)), **settings)
    model = packaged.assemble(config, language_file=language / conversion.LANGUAGE_FILE, fresh=True)
    processor = packaged.make_processor(config, language)
    tokenizer, table = processor.tokenizer, model.evidence
    table.group_of_class.copy_(torch.tensor(names.group_of_class))
    table.group_tokens.copy_(to_tokens(list(names.groups), tokenizer, config.name_tokens))
    table.class_tokens.copy_(to_tokens(list(names.classes), tokenizer, config.name_tokens))
    features = plain_features(model, processor, stamps)
    table.feature_mean.copy_(features.mean(dim=0))
    table.memory_features.copy_(table.direction(features))
    table.memory_tokens.copy_(to_tokens([stamp.phrase for stamp in stamps], tokenizer, config.caption_tokens))
    return model, processor, settings


def split(stamps: list[Stamp], renderings: Renderings, seed: int) -> tuple[list[int], list[int]]:
    """Renderings to train on, and those of held-out concepts; a few pictures of nothing in both."""
    held = concept_split([stamp.head for stamp in stamps], HELD_OUT, np.random.default_rng(seed))
    train_rows: list[int] = []
    held_out: list[int] = []
    for row, owner in enumerate(renderings.stamp.tolist()):
        apart = row % 10 == 0 if owner == NOTHING else stamps[owner].head in held
        (held_out if apart else train_rows).append(row)
    return train_rows, held_out


def write(model: Any, settings: dict[str, Any], out: Path) -> None:
    """Write what is shipped."""
    from safetensors.torch import save_file

    out.mkdir(parents=True, exist_ok=True)
    (out / packaged.CONFIG).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    save_file(packaged.adapter_state(model), out / packaged.ADAPTER)
    (out / packaged.ADAPTER).chmod(0o644)  # safetensors makes files that only their owner may read
    packaged.write_checksums(out)
