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
from transformers import GPT2Config, LlamaConfig, PreTrainedConfig

from vlbm.assembly import build
from vlbm.data.records import Example, Problem, read_jsonl
from vlbm.data.splits import check_splits
from vlbm.errors import DataError, PictureError
from vlbm.recurrent.config import RecurrentConfig
from vlbm.tasks import messages
from vlbm.tokenizer import train_tokenizer
from vlbm.training.curves import write_curves
from vlbm.training.encoded import Encoded, encode
from vlbm.training.fit import Fit, Point, trained_count
from vlbm.training.seen import SeenPictures
from vlbm.training.settings import NEW, NewSettings, Settings

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


def train(settings: Settings, *, cache_dir: Path, tell: Tell) -> Trained:
    """Train a model as its file says.

    Args:
        settings: the file's.
        cache_dir: what encoders saw is kept here.
        tell: is told stage, done, total and a note.

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
    pictures = SeenPictures(model, processor, cache_dir / "seen")
    encoded = {
        name: encode_all(model, processor, examples, pictures, problems, partial(_looking, tell, name))
        for name, examples in splits.items()
    }
    fit = Fit(
        model,
        train=encoded["train"],
        held_out=encoded["held_out"],
        plan=settings.training,
        folder=settings.out,
        tell=lambda done, total, loss: tell("Training", done, total, f"loss {loss:.3f}"),
        watch=lambda points: write_curves(points, settings.out),
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
        language = new_language_model(settings.new, len(tokenizer))
    return build(
        language,
        tokenizer=tokenizer,
        encoder=wanted.encoder,
        encoder_weights=wanted.encoder_weights,  # type: ignore[arg-type]  # a file's name is a path here
        fusion=wanted.fusion,
        fusion_layers=None if wanted.fusion_layers is None else tuple(wanted.fusion_layers),
        fusion_heads=wanted.fusion_heads,
        fusion_head_width=wanted.fusion_head_width,
    )


def new_language_model(new: NewSettings, vocabulary: int) -> PreTrainedConfig:
    """The configuration of a language model from scratch."""
    ids: dict[str, Any] = {"vocab_size": vocabulary, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    if new.kind == "gpt2":
        return GPT2Config(n_layer=new.layers, n_head=new.heads, n_embd=new.width, n_positions=new.context, **ids)
    if new.kind == "llama":
        return LlamaConfig(
            num_hidden_layers=new.layers,
            num_attention_heads=new.heads,
            hidden_size=new.width,
            intermediate_size=4 * new.width,
            max_position_embeddings=new.context,
            tie_word_embeddings=True,
            **ids,
        )
    return RecurrentConfig(
        cell=new.kind,
        num_hidden_layers=new.layers,
        hidden_size=new.width,
        max_position_embeddings=new.context,
        **ids,
    )


def encode_all(
    model: Any,
    processor: Any,
    examples: Sequence[Example],
    pictures: SeenPictures,
    problems: list[str],
    tell: Callable[[int, int], None],
) -> list[Encoded]:
    """Encode examples; those that cannot be used are added to `problems`.

    Pictures stay in memory: about 250 KB each with a grid of 49 x 1280.
    """
    context = int(model.config.text_config.max_position_embeddings)
    found = list[Encoded]()
    for number, example in enumerate(examples, start=1):
        try:
            visuals = [pictures.see(path) for path in example.pictures]
            found.append(encode(processor, example, visuals, context=context))
        except (PictureError, DataError, OSError) as error:
            problems.append(str(Problem(number, f"{', '.join(map(str, example.pictures))}: {error}")))
        tell(number, len(examples))
    return found


def _texts(examples: Sequence[Example]) -> list[str]:
    return [text for e in examples for text in (e.target, *(m["content"] for m in messages(e)))]
