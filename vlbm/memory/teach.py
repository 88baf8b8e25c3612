"""Looking at pictures that shall be remembered, and lending a memory to a model, for good or for single requests.

A model that has a memory says of a picture what was said of those that look most alike (`vlbm.evidence.neighbours`), as
far as its training taught it to believe that. Nothing is trained here.

Shapes: N remembered pictures, s width of a style, l tokens of a caption.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import torch

from vlbm.data.records import Example
from vlbm.data.stamps import noun_phrase
from vlbm.errors import PictureError
from vlbm.evidence.names import to_tokens
from vlbm.evidence.neighbours import Lent
from vlbm.fingerprint import fingerprint
from vlbm.memory.index import Entry, Index
from vlbm.perception import style_of

Tell = Callable[[int, int], None]


def encoder_identity(model: Any, processor: Any) -> str:
    """A short digest of the encoder's weights and of how pictures come to it."""
    images = processor.image_processor
    seen = (images.image_size, images.views, tuple(images.image_mean), tuple(images.image_std))
    how = repr((*seen, model.config.encoder_spec.style))
    return fingerprint(model.encoder.state_dict().items(), how)[:16]


@torch.no_grad()
def look_at(model: Any, processor: Any, examples: Sequence[Example], tell: Tell) -> tuple[Index, list[str]]:
    """What a model's encoder makes of pictures, as an index, and the pictures that were left out.

    Args:
        model, processor: of which the encoder matters.
        examples: pictures with what they show; one of several pictures makes an entry of each.
        tell: is told examples done and in all.
    """
    entries, features, problems = list[Entry](), list[torch.Tensor](), list[str]()
    for number, example in enumerate(examples, start=1):
        for path in example.pictures:
            try:
                data = path.read_bytes()
                style = style_of(model, processor, data)
            except (PictureError, OSError) as error:
                problems.append(f"{path}: {error}")
                continue
            digest = hashlib.sha256(data).hexdigest()
            entries.append(Entry(example.target.strip(), example.language, digest, str(path)))
            features.append(style)
        tell(number, len(examples))
    width = model.config.encoder_spec.style
    found = torch.stack(features) if features else torch.zeros(0, width)
    return Index(encoder_identity(model, processor), tuple(entries), found), problems


@torch.no_grad()
def attach(model: Any, processor: Any, index: Index) -> None:
    """Lend a memory to a model, beside the one that it has. To be called once, before anything is asked.

    Raises:
        MemoryUnusable: the memory is another encoder's.
    """
    if not index.entries:
        return
    model.evidence.memory.lend(*_told(model, processor, index))
    model.config.memory_pictures = len(model.evidence.memory.features)


@torch.no_grad()
def teach(model: Any, processor: Any, index: Index) -> Lent:
    """A memory for requests that bring it along (`GenerationRequest.memory`); the model keeps nothing of it.

    Raises:
        MemoryUnusable: the memory is another encoder's.
    """
    taught: Lent = model.evidence.memory.taught(*_told(model, processor, index))
    return taught


def _told(model: Any, processor: Any, index: Index) -> tuple[torch.Tensor, torch.Tensor]:
    """The style of each picture of an index [N,s], and what it shows, by language [L,N,l]."""
    index.check(encoder_identity(model, processor))
    told = dict[str, dict[str, str]]()
    for entry in index.entries:
        phrase = noun_phrase(entry.caption) or entry.caption.rstrip(".")
        told.setdefault(entry.sha256, {})[entry.language.partition("-")[0].lower()] = phrase
    first = {entry.sha256: place for place, entry in reversed(list(enumerate(index.entries)))}
    features = index.features[[first[sha256] for sha256 in told]]
    languages, length = model.config.languages, model.config.caption_tokens
    # Whatever language it was told in, a caption is better than none: the first language stands in for all.
    rows = [[captions.get(languages[0], next(iter(captions.values()))) for captions in told.values()]]
    rows += [[captions.get(language, "") for captions in told.values()] for language in languages[1:]]
    return features, torch.stack([to_tokens(row, processor.tokenizer, length) for row in rows])
