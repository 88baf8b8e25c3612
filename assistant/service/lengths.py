"""How long prompts are, where one conversation may be cut in several places: each message is counted once.

A prompt is as long as its messages together. Of templates that mark where messages begin and end by tokens of their own
that is exact; of others the whole is shorter by a token or two, seldom longer. Blocking: counting takes a tokenizer.
"""

from collections.abc import Sequence

from assistant.budget import too_long
from assistant.ports.engine import Engine, EngineMessage

_NOTHING = EngineMessage("system", "")
"""What a message is counted beside: some templates say something of their own where a system prompt is missing."""


class Lengths:
    """The lengths of prompts that end with the same messages.

    The newest message is counted first, and no more of them than are needed to know whether a prompt fits.

    Args:
        messages: all of the conversation, without the system prompt; at least one.
    """

    def __init__(self, engine: Engine, messages: Sequence[EngineMessage]) -> None:
        self._engine = engine
        self._messages = messages
        self._heads: dict[str, int] = {}
        """What system prompts take, with all that a template adds to a prompt."""
        self._newest = [0]
        """What the newest message adds, the two newest together, and so on, as far as they were counted."""

    def fits(self, system: str, start: int, budget: int) -> bool:
        """Whether a system prompt and the messages from ``start`` on take at most ``budget`` tokens."""
        room = budget - self._head(system)
        many = len(self._messages) - start
        while len(self._newest) == 1 or (len(self._newest) <= many and self._newest[-1] <= room):
            self._newest.append(self._newest[-1] + self._adds(self._messages[-len(self._newest)]))
        return len(self._newest) > many and self._newest[many] <= room

    def cut(self, system: str, start: int, budget: int) -> int:
        """From where on messages, none before ``start``, take half of the budget with a system prompt.

        Whole turns go, a question with its answer; the last stays, also where it takes more than half.

        Raises:
            EngineError: ``prompt_too_long``, with the numbers.
        """
        last = len(self._messages) - 1
        while start < last and not self.fits(system, start, budget // 2):
            # Whatever precedes the next question goes with it.
            start = next((i for i in range(start + 1, last) if self._messages[i].role == "user"), last)
        if not self.fits(system, start, budget):
            raise too_long(self._head(system) + self._newest[1], budget)
        return start

    def _head(self, system: str) -> int:
        if system not in self._heads:
            self._heads[system] = self._engine.count_tokens([EngineMessage("system", system)])
        return self._heads[system]

    def _adds(self, message: EngineMessage) -> int:
        return self._engine.count_tokens([_NOTHING, message]) - self._head(_NOTHING.text)
