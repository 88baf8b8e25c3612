"""Events of a session, in the order clients see them.

Every event has its place: ``session_id``, ``epoch``, ``seq``, ``at``. ``seq`` is given by the store when the event is
appended, so that it counts from 1 without gaps; an event is therefore made *without* its place (the classes here) and
``place`` writes the place into its JSON. Readers get it back with ``read_event``.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from assistant.domain.messages import Message
from assistant.domain.model import Value


class Usage(Value):
    """What a turn cost. Times are the engine's own, in milliseconds, so that the rest of the way can be told apart."""

    prompt_tokens: int
    completion_tokens: int
    image_cells: int
    engine_first_token_ms: float | None = None
    engine_ms: float | None = None


class ImageUse(Value):
    """Whether a picture of the turn reached the model, at which size in pixels; if not, why not.

    ``read`` are the words that were read in it, by a reader of its own and not by the model.
    """

    image_id: str
    seen: bool
    width: int
    height: int
    reason: str | None = None
    read: str | None = None


class TokenWeight(Value):
    """A piece of text with the share of the picture in it, 0 to 1."""

    text: str
    image_weight: float


class ErrorInfo(Value):
    """Why a turn failed."""

    code: str
    message: str


class MessageCreated(Value):
    """A message was committed."""

    type: Literal["message.created"] = "message.created"
    message: Message


class TurnQueued(Value):
    """The turn waits: turns of a session run one after another. ``position`` counts from 1."""

    type: Literal["turn.queued"] = "turn.queued"
    turn_id: str
    position: int


class TurnStarted(Value):
    """A worker took the turn. ``attempt`` counts from 1; a later attempt goes on from the text already sent.

    With ``restart`` the text sent so far is void, because the store has lost it: the answer begins again.
    ``message_id`` is the message that it answers.
    """

    type: Literal["turn.started"] = "turn.started"
    turn_id: str
    attempt: int
    restart: bool = False
    engine: str
    model: str
    message_id: str | None = None


class TurnProgress(Value):
    """Work before or between tokens, and a sign of life while there is none. A ``total`` of 0 is unknown."""

    type: Literal["turn.progress"] = "turn.progress"
    turn_id: str
    stage: str
    done: int
    total: int


class TurnDelta(Value):
    """New text only, never the whole. ``tokens`` is there when a picture was looked at."""

    type: Literal["turn.delta"] = "turn.delta"
    turn_id: str
    text: str
    tokens: tuple[TokenWeight, ...] | None = None


class ToolCalled(Value):
    """A tool begins."""

    type: Literal["tool.called"] = "tool.called"
    turn_id: str
    name: str
    arguments: dict[str, Any]


class ToolFinished(Value):
    """A tool ended with its typed result; ``read`` in it are the words that were read in the pictures."""

    type: Literal["tool.finished"] = "tool.finished"
    turn_id: str
    name: str
    result: dict[str, Any]


TurnStatus = Literal["completed", "cancelled", "failed", "length"]
"""How a turn ended."""
TurnState = Literal["queued", "running"] | TurnStatus
"""How a turn stands."""


class TurnFinished(Value):
    """The one last event of a turn; ``images`` lists every picture that might have been looked at.

    ``notes``: what the reader should know of the answer, a sentence each, such as what of the owner's memory was not
    used, or that the oldest messages no longer fit and a summary of them was.
    """

    type: Literal["turn.finished"] = "turn.finished"
    turn_id: str
    status: TurnStatus
    usage: Usage | None = None
    images: tuple[ImageUse, ...] = ()
    error: ErrorInfo | None = None
    notes: tuple[str, ...] | None = None


class SessionUpdated(Value):
    """The conversation has another title."""

    type: Literal["session.updated"] = "session.updated"
    title: str


Event = (
    MessageCreated
    | TurnQueued
    | TurnStarted
    | TurnProgress
    | TurnDelta
    | ToolCalled
    | ToolFinished
    | TurnFinished
    | SessionUpdated
)

_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="type")])
_OBJECT: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])


class Place(Value):
    """Where an event stands in its session's log."""

    session_id: str
    epoch: str
    seq: int
    at: datetime


class PlacedEvent(Value):
    """An event with its place, as read back from a log or a socket."""

    place: Place
    event: Event


def read_event(text: str | bytes, *, unknown_fields: Literal["forbid", "ignore"] = "forbid") -> PlacedEvent:
    """Parse the JSON form of a placed event.

    Args:
        unknown_fields: what a client ignores, because a later server may say more than it knows, is an error in a log.

    Raises:
        pydantic.ValidationError: the text is no JSON, no object, or not an event of this protocol version.
    """
    fields = _OBJECT.validate_json(text)
    place = Place.model_validate({name: fields.pop(name, None) for name in Place.model_fields})
    return PlacedEvent(place=place, event=_EVENT.validate_python(fields, extra=unknown_fields))
