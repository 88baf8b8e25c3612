"""Everyday names of an encoder's classes, as tokens of a language model.

Reads the table `everyday.txt` and its translations, `everyday_es.txt` and so on; knows nothing of pictures, and
nothing of a language beyond the phrases in its table. Class names come from torchvision's list of ImageNet's classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import vlbm._torchvision  # noqa: F401 (must run before torchvision)
from vlbm.errors import DataError

TABLE = Path(__file__).parent / "everyday.txt"
# Names that mean something else out of context, or that nobody would say.
SPOKEN = {
    "ice bear": "polar bear",
    "tusker": "elephant",
    "crane bird": "crane",
    "ear": "ear of corn",
    "hip": "rose hip",
    "alp": "mountain",
    "ashcan": "trash can",
    "beach wagon": "station wagon",
    "cellular telephone": "mobile phone",
    "Band Aid": "plaster",
    "Crock Pot": "slow cooker",
    "drake": "duck",
    "brass": "brass plaque",
    "bow": "bow",
    "chest": "chest",
    "cleaver": "meat cleaver",
    "drumstick": "drumstick",
    "French loaf": "baguette",
    "hand blower": "hair dryer",
    "head cabbage": "cabbage",
    "ice lolly": "ice lolly",
    "jean": "pair of jeans",
    "lesser panda": "red panda",
    "Madagascar cat": "ring-tailed lemur",
    "potpie": "meat pie",
    "quill": "quill pen",
    "rule": "ruler",
    "slot": "slot machine",
    "sorrel": "chestnut horse",
    "studio couch": "sofa",
    "tub": "bathtub",
    "upright": "upright piano",
    "washer": "washing machine",
    "wing": "airplane wing",
    "wood rabbit": "wild rabbit",
    "Angora": "Angora rabbit",
    "porcupine": "porcupine",
    "hotdog": "hot dog",
    "Granny Smith": "green apple",
    "thatch": "thatched roof",
    "stole": "shawl",
    "screen": "screen",
    "sunglass": "pair of sunglasses",
    "sunglasses": "pair of sunglasses",
    "seashore": "beach",
}


@dataclass(frozen=True, slots=True)
class Names:
    """Names of classes.

    Attributes:
        groups: everyday names [g].
        group_of_class: index of each class's everyday name [c].
        classes: each class's own name [c].
    """

    groups: tuple[str, ...]
    group_of_class: tuple[int, ...]
    classes: tuple[str, ...]


def imagenet_names() -> Names:
    """ImageNet's classes and the everyday names that they add up to.

    Raises:
        DataError: the table has a line that cannot be read, or gives a class two names.
    """
    from torchvision.models._meta import _IMAGENET_CATEGORIES

    classes = tuple(SPOKEN.get(name, name) for name in _IMAGENET_CATEGORIES)
    named: dict[int, str] = {}
    for number, name, indices in _lines(TABLE):
        for index in _indices(indices, number):
            if named.setdefault(index, name) != name:
                raise DataError(f"{TABLE.name}, line {number}: class {index} is already a {named[index]}")
    everyday = [named.get(index, own) for index, own in enumerate(classes)]
    groups = tuple(dict.fromkeys(everyday))
    place = {name: index for index, name in enumerate(groups)}
    return Names(groups=groups, group_of_class=tuple(place[name] for name in everyday), classes=classes)


def names_in(language: str) -> tuple[str, ...]:
    """The everyday names in a language [g], in the order of `Names.groups`.

    In English ("en") they are the groups themselves. In other languages each has its indefinite article, unless it is
    a plural or names a stuff: "un gato", "prismáticos", "pan".

    Raises:
        DataError: there is no table of this language, or it lacks a name, has one twice or one that is no group.
    """
    groups = imagenet_names().groups
    if language == "en":
        return groups
    tables = {path.stem.removeprefix("everyday_"): path for path in TABLE.parent.glob("everyday_*.txt")}
    if language not in tables:
        raise DataError(f"no everyday names in {language!r}: there are {', '.join(sorted([*tables, 'en']))}")
    table, known = tables[language], frozenset(groups)
    phrases: dict[str, str] = {}
    for number, name, phrase in _lines(table):
        if name not in known:
            raise DataError(f"{table.name}, line {number}: {name!r} is not an everyday name of {TABLE.name}")
        if name in phrases or not phrase:
            raise DataError(
                f"{table.name}, line {number}: {name!r} {'comes twice' if phrase else 'has no translation'}"
            )
        phrases[name] = phrase
    if missing := [name for name in groups if name not in phrases]:
        raise DataError(f"{table.name} lacks {len(missing)} everyday names, the first is {missing[0]!r}")
    return tuple(phrases[name] for name in groups)


def _lines(table: Path) -> Iterator[tuple[int, str, str]]:
    """Number, name and what follows the colon of each line that is not a comment."""
    for number, line in enumerate(table.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip() and not line.startswith("#"):
            name, _, rest = line.partition(":")
            yield number, name.strip(), rest.strip()


def _indices(text: str, line: int) -> list[int]:
    """'2-4 7' -> [2, 3, 4, 7]."""
    found: list[int] = []
    for part in text.split():
        first, _, last = part.partition("-")
        if not first.isdigit() or (last and not last.isdigit()):
            raise DataError(f"{TABLE.name}, line {line}: {part!r} is not a class or a range of classes")
        found.extend(range(int(first), int(last or first) + 1))
    return found


def to_tokens(texts: list[str], tokenizer: Any, length: int) -> torch.Tensor:
    """Token ids of texts as they stand within a sentence (after a space) [len(texts), length], padded with -1.

    An empty text has none.
    """
    out = torch.full((len(texts), length), -1, dtype=torch.int32)
    for row, text in enumerate(texts):
        ids = tokenizer(f" {text}", add_special_tokens=False)["input_ids"][:length] if text else []
        out[row, : len(ids)] = torch.tensor(ids, dtype=torch.int32)
    return out
