"""What a model is shown: the right picture, another one, an empty one or none. It knows pictures, not questions.

Congruence is the difference that the right picture makes (Elliott 2018, "Adversarial Evaluation of Multimodal Machine
Translation"): a model that does not look does as well with any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vlbm.data.records import Example
from vlbm.data.synthetic import blank
from vlbm.errors import DataError, PictureError, PromptTooLong
from vlbm.evaluation.answers import Tell
from vlbm.language import context_tokens
from vlbm.perception import Visual
from vlbm.training.encoded import encode
from vlbm.training.seen import SeenPictures

WAYS = ("right", "swapped", "blank", "none")


@dataclass(frozen=True, slots=True)
class Sight:
    """What a model's encoder saw.

    Attributes:
        pictures: of each picture, with names and captions in a language.
        nothing: of an empty one.
    """

    pictures: Mapping[tuple[Path, str], Visual]
    nothing: Visual

    def show(self, way: str, own: Sequence[Path], others: Sequence[Path], language: str) -> tuple[Visual, ...]:
        """What is seen when a question's own pictures, others, empty ones or none are shown; others in its language."""
        if way == "none":
            return ()
        if way == "blank":
            return (self.nothing,) * len(own)
        return tuple(self.pictures[path, language] for path in (own if way == "right" else others))


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of looking at the pictures of all examples.

    Attributes:
        sight: what was seen.
        usable: numbers of the examples that can be asked.
        problems: what is wrong with the others.
    """

    sight: Sight
    usable: tuple[int, ...]
    problems: tuple[str, ...]


def look(
    model: Any, processor: Any, examples: Sequence[Example], seen: SeenPictures, *, max_tokens: int, tell: Tell
) -> Looked:
    """See every example's pictures, and find the examples that can be asked.

    One is left out if a picture cannot be read, or if the question is too long for its targets or for an answer of
    `max_tokens`.
    """
    context = context_tokens(model.config.text_config)
    pictures, kept, problems = dict[tuple[Path, str], Visual](), list[int](), list[str]()
    for number, example in enumerate(examples):
        try:
            shown = [(path, example.language) for path in example.pictures]
            pictures |= {one: seen.see(*one) for one in shown if one not in pictures}
            visuals = [pictures[one] for one in shown]
            for target in (example.target, example.wrong or example.target):
                row = encode(processor, replace(example, target=target), visuals, context=context)
            if len(row.prompt) + max_tokens > context:
                raise PromptTooLong(prompt_tokens=len(row.prompt), max_tokens=max_tokens, context_tokens=context)
            kept.append(number)
        except (PictureError, DataError, PromptTooLong, OSError) as error:
            names = f" ({', '.join(path.name for path in example.pictures)})" if example.pictures else ""
            problems.append(f"example {number + 1}{names}: {error}")
        tell(number + 1, len(examples))
    pixels = processor.image_processor(blank())["pixel_values"]
    nothing = model.look(pixels.to(model.device)).to("cpu")
    return Looked(Sight(pictures, nothing), tuple(kept), tuple(problems))
