"""Texts of many turns read together by a network with a paged cache. What a turn begins like is read once.

It knows texts as tokens; nothing of questions, answers or time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy
import torch
from torch.nn.functional import pad

from vlbm.engine.pages import Pages, digest
from vlbm.engine.passes import PAGE, Network, Pass, Pictured
from vlbm.engine.reader import Memories, Part, Seen
from vlbm.fusion import Prepared


@dataclass(eq=False, slots=True)
class PagedText:
    """A text in the cache.

    Attributes:
        tokens: all that were read.
        marks: by which its full pages are known.
        pages: where they are, and where what follows will be.
        memories: of its pictures.
    """

    tokens: list[int]
    pages: list[int]
    memories: Memories | None
    marks: list[bytes] = field(default_factory=list)
    table: numpy.ndarray[Any, numpy.dtype[numpy.int32]] = field(default_factory=lambda: numpy.empty(0, numpy.int32))

    def pictured_from(self) -> int:
        """The first position that sees pictures; far off without."""
        return self.memories.start if self.memories else 1 << 60


class PagedReader:
    """Reads texts.

    Args:
        network: that reads.
    """

    guesses = True

    def __init__(self, network: Network) -> None:
        self.network = network
        self.pages = Pages(network.pages)
        self.capacity, self.own_threads = network.pages * PAGE, network.own_threads
        self.beside, self.alone = network.beside, network.alone
        self._together: tuple[tuple[PagedText, ...], list[Prepared]] = ((), [])

    def room(self, tokens: int) -> bool:
        """Whether a text of so many tokens fits now."""
        return _pages(tokens) <= self.pages.available

    def begin(self, ids: Sequence[int], most: int, memories: Memories | None) -> PagedText:
        """Make room for a text of up to `most` tokens that begins with `ids`; what is known of it counts as read."""
        marks = _marks([], ids[:-1], memories)
        known = self.pages.known(marks)
        try:
            taken = self.pages.take(_pages(most) - len(known))
        except ValueError:
            self.pages.release(known)
            raise
        pages = known + taken
        table = numpy.array(pages, dtype=numpy.int32)
        return PagedText(list(ids[: len(known) * PAGE]), pages, memories, marks[: len(known)], table)

    def read(self, parts: Sequence[Part[PagedText]]) -> list[Seen]:
        """Read on in several texts at once."""
        for part in parts:
            self._know(part.text)  # what was read before stands: guesses that were wrong are taken back by now
        found = self.network.read(self._pass(parts))
        seen, at = list[Seen](), 0
        for part in parts:
            part.text.tokens += part.tokens
            here = slice(at, at + part.wanted)
            seen.append(Seen(found.logits[here], found.likeliest[here], found.weights[here]))
            at += part.wanted
        return seen

    def forget(self, text: PagedText, tokens: int) -> None:
        """Take back the last tokens of a text: guesses that were wrong."""
        del text.tokens[len(text.tokens) - tokens :]

    def end(self, text: PagedText, *, keep: bool = True) -> None:
        """A text is over; its full pages are kept for others that begin like it, while there is room."""
        if keep:
            self._know(text)
        else:
            self.pages.forget(text.pages)
        self.pages.release(text.pages)

    def _know(self, text: PagedText) -> None:
        """Let others begin with its full pages."""
        known = len(text.marks)
        if len(text.tokens) < (known + 1) * PAGE:
            return
        text.marks = _marks(text.marks, text.tokens, text.memories)
        for page, mark in zip(text.pages[known:], text.marks[known:], strict=False):
            self.pages.fill(page, mark)

    def _pass(self, parts: Sequence[Part[PagedText]]) -> Pass:
        positions, places, wanted = list[int](), list[int](), list[int]()
        longest = max(_pages(len(part.text.tokens) + len(part.tokens)) for part in parts)
        tables = numpy.zeros((sum(len(part.tokens) for part in parts), longest), dtype=numpy.int32)
        alone, pictured = list[tuple[PagedText, int]](), list[Pictured]()
        for part in parts:
            text, first, row = part.text, len(part.text.tokens), len(positions)
            here = range(first, first + len(part.tokens))
            positions += here
            places += [text.pages[n // PAGE] * PAGE + n % PAGE for n in here]
            tables[row : row + len(here), : len(text.table)] = text.table[:longest]
            wanted += range(row + len(here) - part.wanted, row + len(here))
            seeing = range(max(first, text.pictured_from()), here.stop)
            if len(seeing) == 1:
                alone.append((text, row + len(here) - 1))
            elif seeing:
                rows = torch.arange(row + len(here) - len(seeing), row + len(here))[None]
                pictured.append(Pictured(rows, text.memories.layers))  # type: ignore[union-attr]
        if alone:
            pictured.append(Pictured(torch.tensor([[row] for _, row in alone]), self._memories([t for t, _ in alone])))
        return Pass(
            tokens=torch.tensor([token for part in parts for token in part.tokens]),
            positions=torch.tensor(positions),
            places=torch.tensor(places),
            tables=torch.from_numpy(tables),
            wanted=torch.tensor(wanted, dtype=torch.long),
            pictured=pictured,
        )

    def _memories(self, texts: Sequence[PagedText]) -> list[Prepared]:
        """The memories of several texts as one batch, made anew only when others see pictures than before."""
        known, made = self._together
        if known != tuple(texts):
            layers = zip(*(text.memories.layers for text in texts if text.memories), strict=True)
            made = [_together(layer) for layer in layers]
            self._together = tuple(texts), made
        return made


def _marks(known: list[bytes], tokens: Sequence[int], memories: Memories | None) -> list[bytes]:
    """The marks of all full pages of a text that begin with those known."""
    marks = list(known)
    for end in range((len(known) + 1) * PAGE, len(tokens) + 1, PAGE):
        seen = f"{memories.start} {memories.key}" if memories and end > memories.start else ""
        marks.append(digest(marks[-1] if marks else b"", tokens[end - PAGE : end], seen))
    return marks


def _pages(tokens: int) -> int:
    return -(-tokens // PAGE)


def _together(memories: Sequence[Prepared]) -> Prepared:
    """One layer's memories as one batch, padded to the longest."""
    most = max(memory.mask.shape[-1] for memory in memories)

    def padded(name: str, value: torch.Tensor) -> torch.Tensor:
        more = most - value.shape[-1 if name == "mask" else -2]
        return pad(value, (0, more) if name == "mask" else (0, 0, 0, more))

    return Prepared(
        **{f.name: torch.cat([padded(f.name, getattr(m, f.name)) for m in memories]) for f in fields(Prepared)}
    )
