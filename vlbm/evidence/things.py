"""The things in a picture, one by one: regions of it, looked up like whole pictures, as evidence about each.

Regions that look alike are one thing that is there several times. Names are in the language of the answer, marks
(`marks`) in the first language only.

It knows regions, styles and token ids, not pictures. The finder, the colours and the words are trained or filled by
`vlbm.recipes`.

Shapes: b batch, r regions of one picture, s width of the style, c classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch
from torch import nn

from vlbm.data.colours import COLOURS
from vlbm.evidence.marks import ARTICLES, COMMON, WORDS, Thing, marks_of, runs_of, slots_of
from vlbm.evidence.paint import PAINT
from vlbm.evidence.regions import RegionFinder
from vlbm.evidence.runs import KIND, Evidence, Runs
from vlbm.evidence.trust import evened

if TYPE_CHECKING:
    from vlbm.config import VLBMConfig
    from vlbm.evidence.neighbours import Lent, VisualMemory

# Regions whose directions in the memory's space are this alike show the same.
ALIKE = 0.6
# Other names that a thing may be asked for by: so many, and so likely beside the likeliest.
ALIASES, WORTH_A_NAME = 4, 0.3


class Sighted(NamedTuple):
    """One picture's regions: boxes [r,4], scores [r], styles [r,s], class logits [r,c], shares of colours [r,PAINT]."""

    boxes: torch.Tensor
    scores: torch.Tensor
    style: torch.Tensor
    logits: torch.Tensor
    paint: torch.Tensor


class Named(NamedTuple):
    """The likeliest name of a region, in the first language and in another, its probability, and the other names."""

    first: tuple[int, ...]
    name: tuple[int, ...]
    chance: float
    others: tuple[tuple[int, float], ...]


class LookUp(Protocol):
    """What names regions as it names whole pictures, such as `EvidenceTable`."""

    memory: VisualMemory

    def find(
        self,
        logits: torch.Tensor,
        style: torch.Tensor,
        *,
        languages: torch.Tensor | None = None,
        exclude: torch.Tensor | None = None,
        lent: Lent | None = None,
    ) -> Runs:
        """Names and captions of pictures with these class logits [b,c] and styles [b,s]; see `EvidenceTable.find`."""


class ThingTable(nn.Module):
    """Finds regions, and tells what is in them.

    Attributes:
        finder: of regions.
        colour_weight, colour_bias: linear classifier of a region's colour by its evened style and its paint
            [colours,s+PAINT], [colours].
        words, articles, common: token id of each of WORDS, of ARTICLES and of COMMON; -1 where there is none.
    """

    words: torch.Tensor
    articles: torch.Tensor
    common: torch.Tensor
    colour_weight: torch.Tensor
    colour_bias: torch.Tensor

    def __init__(self, config: VLBMConfig, *, style: int) -> None:
        super().__init__()
        self.most = config.evidence_regions
        self.finder = RegionFinder(config.encoder_spec.width, config.encoder_spec.cells)
        self.register_buffer("colour_weight", torch.zeros(len(COLOURS), style + PAINT))
        self.register_buffer("colour_bias", torch.zeros(len(COLOURS)))
        self.register_buffer("words", torch.full((len(WORDS),), -1, dtype=torch.int32))
        self.register_buffer("articles", torch.full((len(ARTICLES),), -1, dtype=torch.int32))
        self.register_buffer("common", torch.full((len(COMMON),), -1, dtype=torch.int32))

    def describe(
        self,
        pictures: Sequence[Sighted],
        table: LookUp,
        *,
        languages: torch.Tensor,
        exclude: torch.Tensor | None = None,
        lent: Lent | None = None,
    ) -> tuple[Runs, Evidence]:
        """The things of pictures: a run for each name, and marks.

        Args:
            pictures: regions of each of b pictures.
            table: where names are looked up.
            languages: number of each picture's language [b].
            exclude: pictures that the memory may not find, per picture [b,N] bool.
            lent: pictures that are in the memory for this look-up alone.
        """
        found = [
            self.things(
                one,
                table,
                int(languages[row]),
                exclude=None if exclude is None else exclude[row : row + 1],
                lent=lent,
            )
            for row, one in enumerate(pictures)
        ]
        return self.laid(found, languages)

    def laid(self, found: Sequence[Sequence[Thing]], languages: torch.Tensor) -> tuple[Runs, Evidence]:
        """The things of each of b pictures as runs and marks."""
        words, articles = dict(zip(WORDS, self.words.tolist(), strict=True)), self.articles.tolist()
        marked = [
            marks_of(things, words, articles) if int(languages[row]) == 0 else [] for row, things in enumerate(found)
        ]
        device = self.words.device
        return runs_of(found).map(lambda value: value.to(device)), slots_of(marked).map(lambda value: value.to(device))

    def things(
        self,
        sighted: Sighted,
        table: LookUp,
        language: int,
        *,
        exclude: torch.Tensor | None = None,
        lent: Lent | None = None,
    ) -> list[Thing]:
        """The things in one picture's regions, the surest first."""
        if not len(sighted.scores):
            return []
        kin = self._kin(table.memory.direction(sighted.style))
        style, logits, paint = (torch.stack([value[k].mean(dim=0) for k in kin]) for value in sighted[2:])
        sure, colours = self._colours(style, paint, table).max(dim=1)
        found = dict[tuple[int, ...], Thing]()
        for place, named in enumerate(self._named(style, logits, table, language, exclude, lent)):
            members, there = kin[place], float(sighted.scores[kin[place][0]])
            thing = Thing(
                name=named.name,
                first=named.first,
                confidence=named.chance * there,
                boxes=tuple(tuple(box) for box in sighted.boxes[members].tolist()),
                colour=(int(colours[place]), float(sure[place])),
                aliases=tuple((token, chance * there) for token, chance in named.others),
            )
            known = found.get(named.first)
            found[named.first] = thing if known is None else known.and_also(thing)
        return sorted((thing for thing in found.values() if thing.name), key=lambda thing: -thing.confidence)

    def _colours(self, style: torch.Tensor, paint: torch.Tensor, table: LookUp) -> torch.Tensor:
        """Probability of each colour of r things [r,colours]."""
        even = evened(style, table.memory.mean, table.memory.scale)
        seen = torch.cat([even, paint.to(even.dtype)], dim=1)
        return (seen @ self.colour_weight.to(seen.dtype).T + self.colour_bias.to(seen.dtype)).softmax(dim=1)

    def _named(
        self,
        style: torch.Tensor,
        logits: torch.Tensor,
        table: LookUp,
        language: int,
        exclude: torch.Tensor | None,
        lent: Lent | None,
    ) -> list[Named]:
        """What each of r things is called."""
        r = len(style)
        languages = torch.tensor([0] * r + [language] * r * (language != 0), device=style.device)
        times, many = len(languages) // r, len(languages)  # once in the first language itself
        every = None if exclude is None else exclude.expand(many, -1)
        found = table.find(
            logits.repeat(times, 1), style.repeat(times, 1), languages=languages, exclude=every, lent=lent
        )
        if not found.confidence.shape[1]:
            return [Named((), (), 0.0, ())] * r
        there = (found.tokens >= 0).any(dim=2) & (found.kind != KIND)  # a bare kind is asked for by nobody
        chances = torch.where(there, found.confidence, -1.0)
        chance, place = chances[-r:].max(dim=1)
        rows = torch.arange(r, device=style.device)
        first, spoken = (found.tokens[rows + start, place].tolist() for start in (0, many - r))
        words = [[tuple(token for token in name if token >= 0) for name in names] for names in (first, spoken)]
        common = set(self.common.tolist())
        others = [_others(*row, common) for row in zip(found.tokens[:r].tolist(), chances[:r].tolist(), strict=True)]
        return [Named(*row) for row in zip(*words, chance.tolist(), others, strict=True)]

    def _kin(self, directions: torch.Tensor) -> list[list[int]]:
        """Numbers of regions that show the same, the surest first."""
        alike = (directions @ directions.T >= ALIKE).tolist()
        kin = list[list[int]]()
        for number in range(len(directions)):
            first = next((members for members in kin if alike[members[0]][number]), None)
            if first is None:
                kin.append([number])
            else:
                first.append(number)
        return kin


def _others(names: list[list[int]], chances: list[float], common: set[int]) -> tuple[tuple[int, float], ...]:
    """The last tokens of names that are likely beside the likeliest, but for common ones, and how likely they are."""
    likeliest = max(chances)
    found = dict[int, float]()
    for chance, name in sorted(zip(chances, names, strict=True), key=lambda one: -one[0]):
        if chance > 0 and chance >= WORTH_A_NAME * likeliest:
            found.setdefault([token for token in name if token >= 0][-1], chance)
    return tuple((token, chance) for token, chance in list(found.items())[1:] if token not in common)[:ALIASES]
