"""What examples are drawn from: pictures and scenes, encoded, with their regions, once and for all.

It knows the encoder and what its pictures show, not how questions are put.

Shapes: c classes, d_v encoder width.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from vlbm.data.english import head
from vlbm.data.splits import TRAIN
from vlbm.evidence.kinds import kind_of_class
from vlbm.evidence.names import Names, imagenet_names
from vlbm.recipes.pictures import Picture
from vlbm.recipes.regions import Cuts, cuts, fit_finder
from vlbm.recipes.renderings import NOTHING, Encoded, Rendering, drawer, encoded, planned
from vlbm.recipes.scenes import SCENES, Scenes, things

# Classes whose names are never an answer in training, to measure whether they can be spoken: one everyday name in this
# many, of those that no caption has.
UNSPOKEN = 4
MOST_UNSPOKEN = 100
# One picture in so many decides when training stops; its renderings are not trained on.
APART = 25

Tell = Callable[[str, int, int, str], None]


@dataclass(frozen=True, slots=True)
class Material:
    """Encoded renderings of pictures and scenes, and the names of classes.

    Attributes:
        pictures, rows, seen, cuts: the pictures, their renderings, what the encoder saw of those, and their regions.
        allowed: the renderings that may be asked about.
        scenes, scenes_seen, scenes_cuts, scene_numbers: composed scenes, and which of them may be asked about.
        names: of classes; `classifier`: their directions [c,d_v]; `groups`: the everyday names that may be said.
        kinds: number of the kind of thing by concept, where an everyday name tells.
        others: questions that have nothing to do with a picture, and the token ids of their answers.
    """

    pictures: Sequence[Picture]
    rows: Sequence[Rendering]
    seen: Encoded
    cuts: Cuts
    allowed: Sequence[int]
    scenes: Scenes
    scenes_seen: Encoded
    scenes_cuts: Cuts
    scene_numbers: Sequence[int]
    names: Names
    classifier: torch.Tensor
    groups: Sequence[int]
    kinds: Mapping[str, int]
    others: Sequence[tuple[str, tuple[int, ...]]]

    def kind(self, picture: int) -> int | None:
        """The number of the kind of thing that a picture shows, as far as an everyday name tells; else None."""
        return None if picture == NOTHING else self.kinds.get(self.pictures[picture].concept)


def gather(
    model: Any, processor: Any, found: Sequence[Picture], work: Path, kept: Path, tell: Tell, workers: int = 0
) -> Material:
    """Encode renderings and scenes, train the finder of regions on the scenes, and encode the regions.

    Args:
        model, processor: untrained; encoder and finder work where their parameters lie.
        found: the pictures.
        work: folder of what is encoded, which other recipes may share.
        kept: folder of what is fitted.
        tell: is told stage, done, total and a note.
        workers: processes that draw.
    """
    rows, scenes = planned(found), Scenes(things(found, TRAIN, workers), workers=workers)
    if workers:
        scenes.all_facts()  # now, or each of the processes that make examples composes every scene again
    folder, key = work / "renderings", digest(found)
    draw = drawer(found, rows)

    def encode(what: str, name: str, draw: Callable[[int], Any], mirrored: Sequence[bool]) -> Encoded:
        return encoded(
            model,
            processor,
            draw,
            len(mirrored),
            folder,
            key=f"{name} {len(mirrored)} {key}",
            mirrored=mirrored,
            workers=workers,
            tell=lambda done, total: tell(f"Encoding {what}", done, total, ""),
        )

    composed = f"scenes {scenes.key}"
    seen = encode("pictures", "pictures", draw, [row.plain for row in rows])
    scenes_seen = encode("scenes", composed, scenes.draw, [False] * SCENES)
    finder = model.evidence.things.finder
    finder.load_state_dict(keep(kept / "finder.safetensors", lambda: _finder(finder, scenes, scenes_seen, tell)))
    found_by = hashlib.sha256((kept / "finder.safetensors").read_bytes()).hexdigest()

    def cut(what: str, name: str, draw: Callable[[int], Any], grid: torch.Tensor) -> Cuts:
        return cuts(
            model,
            processor,
            draw,
            grid,
            folder,
            key=f"{name} {len(grid)} {key} {found_by}",
            workers=workers,
            tell=lambda done, total: tell(f"Encoding regions of {what}", done, total, ""),
        )

    names = imagenet_names()
    silent = unspoken(names, found)
    return Material(
        pictures=found,
        rows=rows,
        seen=seen,
        cuts=cut("pictures", "pictures", draw, seen.grid),
        allowed=[n for n, row in enumerate(rows) if row.picture == NOTHING or row.picture % APART],
        scenes=scenes,
        scenes_seen=scenes_seen,
        scenes_cuts=cut("scenes", composed, scenes.draw, scenes_seen.grid),
        scene_numbers=[n for n in range(SCENES) if n % APART],
        names=names,
        classifier=model.encoder.net.classifier.weight.detach().cpu(),
        groups=[n for n in range(len(names.groups)) if n not in silent],
        kinds=kinds_by_concept(names),
        others=(),
    )


def _finder(finder: Any, scenes: Scenes, seen: Encoded, tell: Tell) -> dict[str, torch.Tensor]:
    fit_finder(
        finder, seen.grid, scenes.all_facts(), lambda done, total: tell("Learning to find regions", done, total, "")
    )
    return dict(finder.state_dict())


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


def kinds_by_concept(names: Names) -> dict[str, int]:
    """The kind of each everyday name's head: "cat" is an animal; not of a head that is of several kinds."""
    found: dict[str, set[int]] = {}
    for group, kind in zip(names.group_of_class, kind_of_class(len(names.classes)), strict=True):
        found.setdefault(head(names.groups[group]), set()).add(kind)
    return {name: kind for name, (kind, *more) in found.items() if kind >= 0 and not more}


def digest(found: Sequence[Picture]) -> str:
    """Of the pictures and their splits."""
    return hashlib.sha256("|".join(f"{p.path.name}:{p.split}" for p in found).encode()).hexdigest()


def keep(path: Path, make: Callable[[], dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """What was made before, or is made now."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        save_file({name: value.contiguous() for name, value in make().items()}, part)
        part.rename(path)
    return load_file(path)
