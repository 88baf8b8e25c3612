"""A turn that runs: what it still has to read, and what it says to whoever waits for it. It knows no other turn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Event
from typing import Any

from vlbm.engine.answer import Answer
from vlbm.engine.guesses import REST, guess
from vlbm.engine.reader import Memories, Part, Seen
from vlbm.engine.request import Progress, Step


@dataclass(eq=False, slots=True)
class Turn:
    """A turn.

    Attributes:
        owner: whom seats are shared fairly between.
        ids: its prompt, and what was said since.
        most: tokens of prompt and answer together.
        memories: what it sees of pictures.
        answer: what it says.
        stop: set by whoever gives it up.
        steps: what is said, for whoever waits; an exception ends it, and None.
        text: the reader's, once it runs.
    """

    owner: str
    ids: list[int]
    most: int
    memories: Memories | None
    answer: Answer
    stop: Event
    steps: SimpleQueue[Step | BaseException | None] = field(default_factory=SimpleQueue)
    text: Any = None
    _prompt: int = 0
    _behind: int = 0
    _rest: int = 0
    _guessed: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._prompt = len(self.ids)

    @property
    def answering(self) -> bool:
        """Whether its prompt is read."""
        return len(self.ids) - len(self.text.tokens) == 1 and len(self.text.tokens) >= self._prompt

    def part(self, most: int, ahead: int) -> Part[Any]:
        """What it reads in the next pass: of its prompt up to `most` tokens, or its last token.

        After that token come up to `ahead` that are guessed.
        """
        unread = self.ids[len(self.text.tokens) :]
        if len(unread) > 1:
            piece = unread[:most]
            return Part(self.text, piece, wanted=int(len(piece) == len(unread)))
        self._rest -= 1
        if ahead > 0 and self.answer.greedy and self._rest < 0:
            self._guessed = guess(self.ids, max(0, min(ahead, self.most - len(self.ids) - 1)))
        return Part(self.text, [*unread, *self._guessed], wanted=1 + len(self._guessed))

    def take(self, part: Part[Any], seen: Seen, reader: Any) -> None:
        """Say what comes of a pass."""
        read = len(self.text.tokens)
        if read <= self._prompt:
            self.steps.put(Progress("prefill", read, self._prompt))
        if not part.wanted:
            return
        right = 0
        for place in range(part.wanted):
            token, said = self.answer.next(seen.logits[place], seen.likeliest[place], seen.weights[place])
            for step in said:
                self.steps.put(step)
            if self.answer.reason:
                break
            self.ids.append(token)
            if place < len(self._guessed) and self._guessed[place] == token:
                right += 1
            else:
                break
        if wrong := len(self._guessed) - right:
            reader.forget(self.text, wrong)
            self._rest = 0 if right else REST
        self._guessed = []

    def waits_behind(self, many: int) -> None:
        """So many are let in before it; said when it changes."""
        if many != self._behind:
            self._behind = many
            self.steps.put(Progress("waiting", 0, many))

    def says(self) -> Iterator[Step]:
        """What it says, to its end."""
        while (step := self.steps.get()) is not None:
            if isinstance(step, BaseException):
                raise step
            yield step


def fair(turns: Sequence[Turn], budget: int) -> list[int]:
    """How many tokens each turn may read in a pass: one for answers, of prompts the eldest first, up to a budget."""
    shares = list[int]()
    for turn in turns:
        unread = len(turn.ids) - len(turn.text.tokens)
        shares.append(1 if unread == 1 else min(unread, budget))
        budget -= 0 if unread == 1 else shares[-1]
    return shares
