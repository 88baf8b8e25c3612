"""What requests are answered with: the protocol's acknowledgements without their envelope, and what only HTTP has."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from assistant.domain.events import ErrorInfo, ImageUse, TurnDelta, TurnFinished, TurnStarted, TurnState, Usage
from assistant.domain.events import MessageCreated as Created
from assistant.domain.limits import Resource
from assistant.domain.messages import Message
from assistant.gateway.wire.answers import Limits as Announced
from assistant.gateway.wire.frame import CursorFrame
from assistant.ports.conversations import TurnRecord

ENVELOPE = frozenset({"type", "id"})
"""What an acknowledgement has for a socket alone."""


class Answer(BaseModel):
    """A body that only HTTP has."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SessionDetail(Answer):
    """A conversation with its messages, all branches; events that follow ``cursor`` are not in it."""

    session_id: str
    title: str
    created_at: datetime
    cursor: CursorFrame
    messages: tuple[Message, ...]


class TurnDetail(Answer):
    """How a turn stands.

    Attributes:
        status: ``queued`` and ``running`` are not the end.
        text: of the answer, as far as it is known.
        answer: the message, once it is committed.
        cursor: events after it are not in this.
    """

    session_id: str
    turn_id: str
    message_id: str
    status: TurnState
    text: str
    answer: Message | None = None
    usage: Usage | None = None
    images: tuple[ImageUse, ...] = ()
    error: ErrorInfo | None = None
    notes: tuple[str, ...] | None = None
    cursor: CursorFrame

    @classmethod
    def of(cls, session_id: str, turn: TurnRecord) -> "TurnDetail":
        """Of a turn with the events that are kept; deltas before a restart are void."""
        text, answer, end = "", None, None
        for placed in turn.events:
            match placed.event:
                case TurnStarted(restart=True):
                    text = ""
                case TurnDelta():
                    text += placed.event.text
                case Created(message=Message(role="assistant")):
                    answer = placed.event.message
                case TurnFinished():
                    end = placed.event
        told = {} if end is None else end.model_dump(include={"usage", "images", "error", "notes"})
        return cls(
            session_id=session_id,
            turn_id=turn.turn_id,
            message_id=turn.message_id,
            status=turn.status,
            text=text if answer is None else answer.text,
            answer=answer,
            cursor=CursorFrame(epoch=turn.cursor.epoch, seq=turn.cursor.seq),
            **told,
        )


class LimitsDetail(Answer):
    """What is left of the owner's limits, in how many seconds all is there again, and what one request may have."""

    remaining: Mapping[Resource, int]
    reset: Mapping[Resource, float]
    limits: Announced


class HealthDetail(Answer):
    """Whether requests can be served.

    Attributes:
        workers: how many there are to answer; while there is none, turns are accepted and wait.
    """

    status: Literal["ok", "unavailable"]
    problem: str | None = None
    workers: int | None = None


class VersionDetail(Answer):
    """What answers, and which version of the protocol its frames are of."""

    server: str
    protocol: int


def told(answer: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A response with a body that nobody may keep."""
    text = answer.model_dump_json(exclude_none=True, exclude=set(ENVELOPE) & set(type(answer).model_fields))
    return Response(text, status, {"Cache-Control": "no-store", **(headers or {})}, "application/json")
