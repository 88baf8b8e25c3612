"""The synthetic proof: trains a small model from scratch on ambiguous words and measures whether it looks.

Minutes on a CPU and no downloads. The same questions are asked with the right picture, with one of the other sense,
with a blank one and with none (see `vlbm.data.synthetic`).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import vlbm._torchvision  # noqa: F401 (must run before transformers)

# isort: split
import torch

from vlbm.assembly import EncoderWeights, build
from vlbm.data.records import Example
from vlbm.data.synthetic import Case, Sense, blank, cases, other
from vlbm.evaluation.contrast import preferred
from vlbm.fusion import fusion as fusion_kind
from vlbm.language import Sizes, language_config
from vlbm.perception import Visual
from vlbm.tokenizer import train_tokenizer
from vlbm.training.encoded import Encoded, encode
from vlbm.training.fit import Fit, Tell, untold
from vlbm.training.plan import Plan

TRAIN, TEST, CONTEXT = 960, 192, 96
PLAN = Plan(steps=400, batch=32, rate=3e-3, gate_rate=1e-2, warmup=20, trained="all", evaluate_every=400, patience=9)


@dataclass(frozen=True, slots=True)
class Proof:
    """Contrastive accuracy of one model, as shares from 0 to 1, over `TEST` questions each.

    Attributes:
        right: shown the picture.
        swapped: shown one of the other sense; near 0 if the picture decides.
        blank, none: shown an empty picture, or none; a half.
        seconds: of training and measuring.
    """

    fusion: str
    encoder: str
    language_model: str
    right: float
    swapped: float
    blank: float
    none: float
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether the picture is used: right at least 95 %, swapped at most 5 %, none 45 to 55 %."""
        return self.right >= 0.95 and self.swapped <= 0.05 and 0.45 <= self.none <= 0.55


@dataclass(frozen=True, slots=True)
class Seen:
    """Cases with what an encoder saw of each, seen once for all fusions."""

    cases: tuple[Case, ...]
    visuals: tuple[Visual, ...]


def prove(
    fusion: str,
    language_model: str,
    encoder: str,
    *,
    train: Seen,
    test: Seen,
    nothing: Visual,
    seed: int = 0,
    tell: Tell = untold,
) -> Proof:
    """Train one model and measure it.

    Args:
        fusion, encoder: names of the registries.
        language_model: one of `vlbm.language.from_scratch()`.
        train, test: what the encoder saw (`see`).
        nothing: what it saw of a blank picture.
        seed: of weights and order.
        tell: is told step, steps and loss.
    """
    started = time.monotonic()
    torch.manual_seed(seed)
    model, processor = fresh(fusion, language_model, encoder)
    rows = [
        _row(processor, case, case.right, [visual]) for case, visual in zip(train.cases, train.visuals, strict=True)
    ]
    with tempfile.TemporaryDirectory() as folder:
        plan = replace(PLAN, seed=seed)
        Fit(model, train=rows, held_out=rows[:64], plan=plan, folder=Path(folder), tell=tell).run()
    swapped = _swapped(test)
    shown: dict[str, list[tuple[Visual, ...]]] = {
        "right": [(visual,) for visual in test.visuals],
        "swapped": [(visual,) for visual in swapped],
        "blank": [(nothing,)] * len(test.cases),
        "none": [()] * len(test.cases),
    }
    found = {name: _accuracy(model, processor, test.cases, visuals) for name, visuals in shown.items()}
    return Proof(fusion, encoder, language_model, seconds=time.monotonic() - started, **found)


def fresh(
    fusion: str, language_model: str, encoder: str, encoder_weights: EncoderWeights = "random"
) -> tuple[Any, Any]:
    """A small untrained model and its processor."""
    texts = [text for case in cases(96, seed=0, size=8) for text in (case.source, case.right)]
    tokenizer = train_tokenizer([*texts, "Translate into English: "] * 4, vocab_size=512)
    sizes = Sizes(vocabulary=len(tokenizer), layers=2, width=64, heads=4, context=CONTEXT, dropout=0.0)
    return build(
        language_config(language_model, sizes),
        tokenizer=tokenizer,
        encoder=encoder,
        encoder_weights=encoder_weights,
        fusion=fusion,
        fusion_layers=() if fusion_kind(fusion).prompt_tokens else (0, 1),
        fusion_heads=4,
        fusion_head_width=16,
    )


def see(encoder: str, encoder_weights: EncoderWeights, *, seed: int = 0) -> tuple[Seen, Seen, Visual]:
    """What an encoder sees of the training and test pictures, and of a blank one.

    Channels are standardised over the training pictures: with random weights, what pictures have in common would
    otherwise drown what tells them apart.
    """
    torch.manual_seed(seed)
    model, processor = fresh("sum_scalar", "gru", encoder, encoder_weights)

    def look(picture: Any) -> Visual:
        visual: Visual = model.look(processor.image_processor(picture)["pixel_values"])
        return visual

    train, test = tuple(cases(TRAIN, seed=1)), tuple(cases(TEST, seed=2))
    known = [look(case.picture) for case in train]
    cells = torch.cat([visual.grid for visual in known])
    mean, std = cells.mean(dim=(0, 1)), cells.std(dim=(0, 1)).clamp_min(1e-6)

    def standard(visual: Visual) -> Visual:
        return replace(visual, grid=(visual.grid - mean) / std)

    return (
        Seen(train, tuple(standard(visual) for visual in known)),
        Seen(test, tuple(standard(look(case.picture)) for case in test)),
        standard(look(blank())),
    )


def _swapped(seen: Seen) -> list[Visual]:
    """For each case a picture of the other sense of its word: each picture is shown once."""
    queues: dict[Sense, list[Visual]] = {}
    for case, visual in zip(seen.cases, seen.visuals, strict=True):
        queues.setdefault(case.sense, []).append(visual)
    return [queues[other(case.sense)].pop() for case in seen.cases]


def _accuracy(model: Any, processor: Any, asked: Sequence[Case], shown: Sequence[tuple[Visual, ...]]) -> float:
    pairs = list(zip(asked, shown, strict=True))
    right = [_row(processor, case, case.right, visuals) for case, visuals in pairs]
    wrong = [_row(processor, case, case.wrong, visuals) for case, visuals in pairs]
    found = preferred(model, right, wrong)
    return sum(found) / len(found)


def _row(processor: Any, case: Case, target: str, visuals: Sequence[Visual]) -> Encoded:
    example = Example(pictures=(), target=target, task="translate", text=case.source)
    return encode(processor, example, visuals, context=CONTEXT)
