"""Turns: what a client asks for, and which messages belong before an answer.

Knows nothing of queues or leases; those are the store's way of keeping the promise made here.
"""

from collections.abc import Iterable

from pydantic import Field

from assistant.domain.messages import ImagePart, Message, Part, TextPart, ToolCallPart
from assistant.domain.model import Value


class TurnOptions(Value):
    """How to answer. Absent values are the engine's defaults.

    Attributes:
        max_tokens: most tokens of the answer.
        temperature: 0 is greedy, the most likely token each time.
        top_p: nucleus sampling: the smallest set of tokens with this share of the probability.
        seed: of the sampling, for an answer that can be had again.
    """

    max_tokens: int | None = Field(default=None, ge=1, le=4096)
    temperature: float | None = Field(default=None, ge=0.0, le=2.0)
    top_p: float | None = Field(default=None, gt=0.0, le=1.0)
    seed: int | None = Field(default=None, ge=0, lt=2**63)


class Submission(Value):
    """A turn as accepted: everything checked, pictures known to their owner.

    Attributes:
        client_message_id: the client's key; the same key with the same content is the same turn.
    """

    client_message_id: str
    text: str
    images: tuple[ImagePart, ...] = ()
    tool: ToolCallPart | None = None
    options: TurnOptions = TurnOptions()

    def parts(self) -> tuple[Part, ...]:
        """The parts of the user's message: pictures, then the tool asked for, then the text."""
        tool: tuple[Part, ...] = (self.tool,) if self.tool else ()
        text: tuple[Part, ...] = (TextPart(text=self.text),) if self.text else ()
        return (*self.images, *tool, *text)


def conversation_until(turn_id: str, messages: Iterable[Message]) -> list[Message]:
    """The messages that an answer to ``turn_id`` may look back on, in the order of their turns.

    A message that was sent while an earlier answer was still being written stands before that answer in the log; here
    each answer follows its question, and what was asked later is left out.

    Raises:
        LookupError: no user message of this turn.
    """
    turns: dict[str, list[Message]] = {}
    for message in messages:
        turns.setdefault(message.turn_id, []).append(message)
    if turn_id not in turns:
        raise LookupError(f"no message of turn {turn_id}")
    ordered: list[Message] = []
    for current, members in turns.items():
        if current == turn_id:
            return [*ordered, members[0]]
        ordered.extend(members)
    return ordered
