"""Turns: what a client asks for, and which messages belong before an answer.

Knows nothing of queues or leases; those are the store's way of keeping the promise made here.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence

from pydantic import Field

from assistant.domain.messages import ImagePart, Message, Part, TextPart, ToolCallPart
from assistant.domain.model import Value

ROOT = "root"
"""In the place of a parent: none, where nothing said would mean the newest message."""


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
        parent: id of the message to go on after, ``ROOT`` to begin anew; None goes on where the conversation is.
        regenerates: id of the user's message to answer again, in the place of one of its own.
    """

    client_message_id: str
    text: str
    images: tuple[ImagePart, ...] = ()
    tool: ToolCallPart | None = None
    options: TurnOptions = TurnOptions()
    parent: str | None = None
    regenerates: str | None = None

    def parts(self) -> tuple[Part, ...]:
        """The parts of the user's message: pictures, then the tool asked for, then the text."""
        tool: tuple[Part, ...] = (self.tool,) if self.tool else ()
        text: tuple[Part, ...] = (TextPart(text=self.text),) if self.text else ()
        return (*self.images, *tool, *text)


def new_turn_id() -> str:
    """An id that no turn has."""
    return f"t_{secrets.token_urlsafe(12)}"


def answer_id(message_id: str, turn_id: str) -> str:
    """The id of a turn's answer, known before there is one: other messages may come after it already."""
    return f"{message_id}.{turn_id}"


def question_id(message_id: str) -> str:
    """The id of what an answer answers; of a user's message, its own."""
    return message_id.partition(".")[0]


def path_to(message_id: str, messages: Iterable[Message]) -> list[Message]:
    """A message and all before it, from the beginning of its conversation: the branch that it is on.

    Raises:
        LookupError: no such message.
    """
    known = {message.message_id: message for message in messages}
    if message_id not in known:
        raise LookupError(f"no message {message_id}")
    path = []
    current: Message | None = known[message_id]
    while current is not None:
        path.append(current)
        current = _before(current, known)
    return path[::-1]


def newest_branch(messages: Sequence[Message]) -> list[Message]:
    """The branch that a conversation is on: the one that ends with the newest message that nothing follows."""
    known = {message.message_id: message for message in messages}
    followed = {before.message_id for message in messages if (before := _before(message, known))}
    newest = next((name for name in reversed(known) if name not in followed), None)
    return path_to(newest, messages) if newest else []


def _before(message: Message, known: Mapping[str, Message]) -> Message | None:
    if message.parent is None:
        return None
    return known.get(message.parent) or known.get(question_id(message.parent))
