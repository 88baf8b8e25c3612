"""All routes, in one table: what serves them, what documents them and what tries them as a stranger go through it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel
from starlette.types import ASGIApp

from assistant.api import events, health, pictures, sessions, turns
from assistant.api.answers import HealthDetail, LimitsDetail, SessionDetail, TurnDetail, VersionDetail
from assistant.api.services import Asked, Services
from assistant.domain.access import Scope
from assistant.gateway.wire.answers import (
    ImageReadyAck,
    SessionListAck,
    SessionOpenAck,
    SessionRenameAck,
    TurnSubmitAck,
)
from assistant.gateway.wire.commands import (
    Command,
    SessionDelete,
    SessionExport,
    SessionList,
    SessionOpen,
    SessionRename,
    TurnCancel,
    TurnRegenerate,
    TurnSubmit,
)

Handler = Callable[[Services, Asked], Awaitable[ASGIApp]]
Method = Literal["GET", "POST", "PATCH", "DELETE"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One thing that can be asked.

    Attributes:
        scope: what it takes; None where nobody has to say who it is.
        command: of the protocol, whose fields the body has, or the query.
        takes: media type of a body that is no JSON.
        status: of a success.
        answer: the body of a success; None where there is none.
        gives: media types of a success that is no JSON.
        also: statuses of other successes, and when.
    """

    method: Method
    path: str
    handler: Handler
    summary: str
    scope: Scope | None = "read"
    command: type[Command] | None = None
    takes: str | None = None
    status: int = 200
    answer: type[BaseModel] | None = None
    gives: tuple[str, ...] = ()
    also: tuple[tuple[int, str], ...] = ()

    @property
    def has_body(self) -> bool:
        """Whether the fields of its command are in a body, and not in the query."""
        return self.method in ("POST", "PATCH")


_SESSION = "/v1/sessions/{session_id}"
_TURN = f"{_SESSION}/turns/{{turn_id}}"

ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        path="/v1/sessions",
        handler=sessions.page,
        summary="The owner's conversations that have a message, the last used first.",
        command=SessionList,
        answer=SessionListAck,
    ),
    Route(
        method="POST",
        path="/v1/sessions",
        handler=sessions.create,
        summary="Begin a conversation.",
        scope="chat",
        command=SessionOpen,
        status=201,
        answer=SessionOpenAck,
    ),
    Route(
        method="GET",
        path=_SESSION,
        handler=sessions.read,
        summary="A conversation with its messages.",
        answer=SessionDetail,
    ),
    Route(
        method="PATCH",
        path=_SESSION,
        handler=sessions.rename,
        summary="Give a conversation a title.",
        scope="chat",
        command=SessionRename,
        answer=SessionRenameAck,
    ),
    Route(
        method="DELETE",
        path=_SESSION,
        handler=sessions.delete,
        summary="Stop what runs, and delete a conversation with all that belongs to it alone.",
        scope="chat",
        command=SessionDelete,
        status=204,
    ),
    Route(
        method="GET",
        path=f"{_SESSION}/export",
        handler=sessions.export,
        summary="A conversation as a document.",
        command=SessionExport,
        gives=("application/json", "text/markdown"),
    ),
    Route(
        method="GET",
        path=f"{_SESSION}/events",
        handler=sessions.events,
        summary="The conversation's events from `Last-Event-ID` on, as they come.",
        gives=(events.MEDIA_TYPE,),
    ),
    Route(
        method="POST",
        path=f"{_SESSION}/turns",
        handler=turns.submit,
        summary="A message to answer. Sent again with the same client_message_id it is the same turn.",
        scope="chat",
        command=TurnSubmit,
        status=202,
        answer=TurnSubmitAck,
        also=((200, "It had been accepted before."),),
    ),
    Route(
        method="POST",
        path=f"{_SESSION}/messages/{{message_id}}/regenerate",
        handler=turns.regenerate,
        summary="Answer a message again; it may be named by an answer to it too.",
        scope="chat",
        command=TurnRegenerate,
        status=202,
        answer=TurnSubmitAck,
        also=((200, "It had been accepted before."),),
    ),
    Route(
        method="GET",
        path=_TURN,
        handler=turns.read,
        summary="How a turn stands, and its answer as far as it is known.",
        answer=TurnDetail,
    ),
    Route(
        method="POST",
        path=f"{_TURN}/cancel",
        handler=turns.cancel,
        summary="Stop a turn; one that has ended stays as it is.",
        scope="chat",
        command=TurnCancel,
        status=204,
    ),
    Route(
        method="POST",
        path="/v1/images",
        handler=pictures.upload,
        summary="Send the bytes of a picture.",
        scope="chat",
        takes="image/*",
        status=201,
        answer=ImageReadyAck,
        also=((200, "This owner had sent it before."),),
    ),
    Route(
        method="GET",
        path="/v1/images/{image_id}",
        handler=pictures.download,
        summary="A picture, as it is kept.",
        gives=("image/jpeg",),
    ),
    Route(
        method="GET",
        path="/v1/limits",
        handler=health.limits,
        summary="What is left of the owner's limits, and what one request may have.",
        answer=LimitsDetail,
    ),
    Route(
        method="GET",
        path="/health/live",
        handler=health.live,
        summary="Whether the process answers.",
        scope=None,
        answer=HealthDetail,
    ),
    Route(
        method="GET",
        path="/health/ready",
        handler=health.ready,
        summary="Whether requests can be served: 503 where not.",
        scope=None,
        answer=HealthDetail,
    ),
    Route(
        method="GET",
        path="/version",
        handler=health.version,
        summary="What answers, and the version of the protocol that its frames are of.",
        scope=None,
        answer=VersionDetail,
    ),
)
