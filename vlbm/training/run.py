"""A training from its file to a saved model: data, pictures, model, steps, curves.

Stopped and started again it goes on from its checkpoint. It joins the parts, and knows none of them inside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import vlbm._torchvision  # noqa: F401 (must run before transformers)

# isort: split
import torch

from vlbm.assembly import build
from vlbm.data.records import Example, Problem, read_jsonl
from vlbm.data.splits import check_splits
from vlbm.errors import DataError, PictureError
from vlbm.language import context_tokens, language_config
from vlbm.tasks import messages
from vlbm.tokenizer import train_tokenizer
from vlbm.training.curves import write_curves
from vlbm.training.encoded import Encoded, encode
from vlbm.training.fit import Fit, Point, trained_count
from vlbm.training.pixels import PixelPictures
from vlbm.training.seen import SeenPictures
from vlbm.training.settings import NEW, Settings

Tell = Callable[[str, int, int, str], None]


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training made.

    Attributes:
        folder: of the saved model.
        points: its evaluations.
        examples: used to train.
        parameters: that were trained.
        problems: lines, pictures and examples that were left out.
    """

    folder: Path
    points: Sequence[Point]
    examples: int
    parameters: int
    problems: Sequence[str]


def train(settings: Settings, *, cache_dir: Path, tell: Tell, workers: int = 0) -> Trained:
    """Train a model as its file says.

    Args:
        settings: the file's.
        cache_dir: what encoders saw is kept here.
        tell: is told stage, done, total and a note.
        workers: processes that make batches meanwhile.

    Raises:
        VLBMError: data, parts or the plan cannot work; the message says why.
    """
    problems = list[str]()
    splits = {}
    for name in ("train", "held_out"):
        path: Path = getattr(settings.data, name)
        read = read_jsonl(path, settings.data.pictures)
        problems += [f"{path}, {problem}" for problem in read.problems]
        splits[name] = read.examples
    check_splits(splits, concepts=settings.data.concepts_apart)
    torch.manual_seed(settings.training.seed)
    model, processor = make_model(settings, splits["train"])
    model.train_encoder(settings.training.encoder_stages)  # too many are said before pictures are looked at
    pictures = (
        PixelPictures(processor)
        if settings.training.encoder_stages
        else SeenPictures(model, processor, cache_dir / "seen")
    )
    encoded = {
        name: encode_all(model, processor, examples, pictures, problems, partial(_looking, tell, name))
        for name, examples in splits.items()
    }
    train = encoded["train"]
    if settings.training.trained == "fusion":  # without a picture the model is the bare one: nothing would learn
        train = [row for row in train if row.visuals]
    fit = Fit(
        model,
        train=train,
        held_out=encoded["held_out"],
        plan=settings.training,
        folder=settings.out,
        tell=lambda done, total, loss: tell("Training", done, total, f"loss {loss:.3f}"),
        watch=lambda points: write_curves(points, settings.out),
        workers=workers,
    )
    points = fit.run()
    if fit.accelerator.is_main_process:
        model.save_pretrained(settings.out)
        processor.save_pretrained(settings.out)
    return Trained(settings.out, points, len(fit.train), trained_count(model), problems)


def _looking(tell: Tell, split: str, done: int, total: int) -> None:
    tell(f"Looking ({split})", done, total, "")


def make_model(settings: Settings, examples: Sequence[Example]) -> tuple[Any, Any]:
    """The untrained model and its processor."""
    wanted = settings.model
    tokenizer = None
    language: Any = wanted.language_model
    if language == NEW:
        tokenizer = train_tokenizer(_texts(examples), settings.new.vocabulary)
        language = language_config(settings.new.kind, settings.new.sizes(len(tokenizer)))
    return build(
        language,
        tokenizer=tokenizer,
        encoder=wanted.encoder,
        encoder_weights=wanted.encoder_weights,  # type: ignore[arg-type]  # a word that is none is a path here
        fusion=wanted.fusion,
        fusion_layers=None if wanted.fusion_layers is None else tuple(wanted.fusion_layers),
        fusion_heads=wanted.fusion_heads,
        fusion_head_width=wanted.fusion_head_width,
    )


def encode_all(
    model: Any,
    processor: Any,
    examples: Sequence[Example],
    pictures: SeenPictures | PixelPictures,
    problems: list[str],
    tell: Callable[[int, int], None],
) -> list[Encoded]:
    """Encode examples; those that cannot be used are added to `problems`.

    Pictures stay in memory: about 250 KB each with a grid of 49 x 1280, 150 KB as pixels of 224 x 224.
    """
    context = context_tokens(model.config.text_config)
    found = list[Encoded]()
    for number, example in enumerate(examples, start=1):
        try:
            visuals = [pictures.see(path, example.language) for path in example.pictures]
            found.append(encode(processor, example, visuals, context=context))
        except (PictureError, DataError, OSError) as error:
            problems.append(str(Problem(number, f"{', '.join(map(str, example.pictures))}: {error}")))
        tell(number, len(examples))
    return found


def _texts(examples: Sequence[Example]) -> list[str]:
    return [text for e in examples for text in (e.target, *(m["content"] for m in messages(e)))]
