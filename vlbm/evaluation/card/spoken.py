"""Is a class that the encoder has right also spoken right, where training never spoke it?

The encoder's verdict is made up: a class has most of the probability and others share the rest, so what is measured
is the way from evidence to words, not the encoder. Neither grid nor memory are shown: a blank
grid says that there is nothing, and is believed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

import numpy as np
import torch

from vlbm.data.records import Example
from vlbm.data.synthetic import blank
from vlbm.evaluation.answers import answer
from vlbm.evaluation.card.bench import Bench, names_of, with_labels
from vlbm.evaluation.card.section import Figure, Row, Section, share
from vlbm.evaluation.card.things import NONE, PROMPTED, SHUFFLED
from vlbm.evaluation.naming import QUESTION, Posed
from vlbm.evidence.names import Names, imagenet_names
from vlbm.evidence.runs import lay_out
from vlbm.language import context_tokens
from vlbm.perception import Visual
from vlbm.recipes.material import unspoken
from vlbm.recipes.pictures import pictures
from vlbm.training.encoded import encode

MOST = 200
SURE = (0.45, 0.995)  # the share of probability that the right class has
SPREAD = 1.5  # deviation of the others' logits


def spoken(bench: Bench, held_out: Collection[int] | None = None) -> Section:
    """Show made-up verdicts and read the answers.

    Args:
        bench: the common ground.
        held_out: classes that training did not speak; those of the packaged recipe where None.
    """
    names = imagenet_names()
    held_out = unspoken_classes(bench) if held_out is None else held_out
    classes = bench.some(sorted(held_out), MOST)
    rng = np.random.default_rng(bench.seed)
    verdicts = [profile(place, len(names.classes), rng) for place in classes]
    said = _say(bench, "Classes", verdicts)
    hits = [speaks(text, place, names) for text, place in zip(said, classes, strict=True)]
    turned = [*said[1:], *said[:1]]  # the verdict on another class
    prompts = [with_labels(names_of(verdict), QUESTION) for verdict in verdicts]
    prompted = bench.bare(f"Classes, {PROMPTED}", prompts)
    without = bench.ask("Classes, no picture", [Posed(None)])[0].text
    measured = share(hits)
    return Section(
        how=f"{len(classes)} classes that training never spoke: the encoder's verdict is made up, with {SURE[0]:.0%} "
        f"to {SURE[1]:.0%} on one class, without grid and memory; an answer counts if it has the class's name or its "
        "everyday name.",
        figures=[
            Figure(
                what="class names that the encoder has right: spoken right",
                target=">= 80 %",
                unit="%",
                count=len(classes),
                measured=measured,
                baselines={
                    PROMPTED: share([speaks(t, p, names) for t, p in zip(prompted, classes, strict=True)]),
                    SHUFFLED: share([speaks(t, p, names) for t, p in zip(turned, classes, strict=True)]),
                    NONE: share([speaks(without, place, names) for place in classes]),
                },
                met=measured.value >= 80,
            )
        ],
        rows=[
            Row(
                shown=f"class {place}",
                question=QUESTION,
                expected=f"{names.classes[place]} / {names.groups[names.group_of_class[place]]}",
                said=text,
                right=hit,
            )
            for place, text, hit in zip(classes, said, hits, strict=True)
        ],
    )


def unspoken_classes(bench: Bench) -> list[int]:
    """The classes whose everyday name the packaged recipe never asks for."""
    names = imagenet_names()
    groups = unspoken(names, pictures(bench.data, bench.tell))
    return [place for place, group in enumerate(names.group_of_class) if group in groups]


def profile(true: int, classes: int, rng: np.random.Generator) -> torch.Tensor:
    """Log probabilities [c] of a verdict that is sure of one class."""
    sure = rng.uniform(*SURE)
    others = torch.from_numpy(rng.normal(0, SPREAD, classes)).float()
    others[true] = -torch.inf
    found = others.softmax(dim=0) * (1 - sure)
    found[true] = sure
    return found.clamp_min(1e-12).log()


def speaks(text: str, place: int, names: Names) -> bool:
    """Whether a text has a class's own name or its everyday name, whole, in singular or plural."""
    wanted = {names.classes[place], names.groups[names.group_of_class[place]]}
    return any(re.search(rf"\b{re.escape(name)}(s|es)?\b", text, re.IGNORECASE) for name in wanted)


@torch.inference_mode()
def _say(bench: Bench, stage: str, verdicts: Sequence[torch.Tensor]) -> list[str]:
    """What the model says of a picture whose grid it does not see, with each verdict."""
    model, processor = bench.model, bench.processor
    seen = model.encode(processor.image_processor(blank())["pixel_values"].to(model.device))
    asked = Example((), "-", task="chat", text=QUESTION)
    context = context_tokens(model.config.text_config)
    forgotten = torch.ones(1, len(model.evidence.memory.features), dtype=torch.bool, device=model.device)
    unseen = torch.zeros(seen.grid.shape[:2], dtype=torch.bool)  # a blank grid would say that there is nothing
    rows = []
    for verdict in verdicts:
        runs = model.evidence.find(verdict[None].to(model.device), seen.style, exclude=forgotten, trusting=True)
        rows.append(encode(processor, asked, [Visual(seen.grid, lay_out(runs), unseen)], context=context))
    return answer(
        model,
        processor.tokenizer,
        rows,
        max_tokens=40,
        batch=bench.batch,
        tell=lambda done, total: bench.tell(stage, done, total, ""),
    )
