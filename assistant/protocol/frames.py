"""Which frames there are: every command with its answer, and all that a server sends. Found in the models, not listed.

The one thing written here by hand is which ack answers which command; a command without one is an error.
"""

import inspect
from collections.abc import Iterator
from types import UnionType
from typing import Any, Literal, TypeAlias, Union, get_args, get_origin

from pydantic import BaseModel, create_model

from assistant.domain import events
from assistant.gateway.wire import answers
from assistant.gateway.wire.answers import (
    Ack,
    AuthAck,
    ImageOffsetAck,
    ImageReadyAck,
    MemoryAddAck,
    MemoryListAck,
    MemoryRemoveAck,
    Pong,
    SessionExportAck,
    SessionListAck,
    SessionOpenAck,
    SessionRenameAck,
    TurnSubmitAck,
)
from assistant.gateway.wire.commands import (
    AnyCommand,
    Auth,
    ImageBegin,
    ImageEnd,
    MemoryAdd,
    MemoryList,
    MemoryRemove,
    Ping,
    SessionClose,
    SessionDelete,
    SessionExport,
    SessionList,
    SessionOpen,
    SessionRename,
    TurnCancel,
    TurnRegenerate,
    TurnSubmit,
)
from assistant.gateway.wire.frame import Frame

Model: TypeAlias = type[BaseModel]

ANSWERS: dict[Model, tuple[Model, ...]] = {
    Auth: (AuthAck,),
    SessionOpen: (SessionOpenAck,),
    SessionList: (SessionListAck,),
    SessionRename: (SessionRenameAck,),
    SessionDelete: (Ack,),
    SessionExport: (SessionExportAck,),
    SessionClose: (Ack,),
    ImageBegin: (ImageOffsetAck, ImageReadyAck),
    ImageEnd: (ImageReadyAck,),
    TurnSubmit: (TurnSubmitAck,),
    TurnRegenerate: (TurnSubmitAck,),
    TurnCancel: (Ack,),
    MemoryAdd: (MemoryAddAck,),
    MemoryList: (MemoryListAck,),
    MemoryRemove: (MemoryRemoveAck,),
    Ping: (Pong,),
}
"""Command -> what answers it, if not an ``error``."""


def commands() -> dict[Model, tuple[Model, ...]]:
    """Every command that the gateway reads, in its order, with its answers.

    Raises:
        LookupError: a command without its answer here.
    """
    found = list(_members(AnyCommand))
    if missing := [command.__name__ for command in found if command not in ANSWERS]:
        raise LookupError(f"say in {__name__}.ANSWERS which ack answers {', '.join(missing)}")
    return {command: ANSWERS[command] for command in sorted(found, key=list(ANSWERS).index)}


def acks() -> list[Model]:
    """Every kind of ack."""
    return [model for model in _wire_models() if issubclass(model, Ack)]


def notices() -> list[Model]:
    """What a server sends beside acks and the events of a session's log: hello, errors, snapshots and the like."""
    return [model for model in _wire_models() if not issubclass(model, Ack)]


def session_events() -> list[Model]:
    """Every event of a session's log, with its place in it."""
    return [
        create_model(event.__name__, __base__=(events.Place, event), __doc__=inspect.getdoc(event))
        for event in _members(events.Event)
    ]


def sent_by_servers() -> list[Model]:
    """All frames that a client may get."""
    return [*notices(), *acks(), *session_events()]


def frame_type(model: Model) -> str:
    """The ``type`` of a frame."""
    return str(get_args(model.model_fields["type"].annotation)[0])


def _wire_models() -> Iterator[Model]:
    """The frames of ``answers`` that a server sends, in the order in which they are written there."""
    for value in vars(answers).values():
        if isinstance(value, type) and issubclass(value, Frame):
            kind = value.model_fields.get("type")
            if kind is not None and get_origin(kind.annotation) is Literal:
                yield value


def _members(union: Any) -> Iterator[Model]:
    if isinstance(union, UnionType) or get_origin(union) is Union:
        for member in get_args(union):
            yield from _members(member)
    else:
        yield union
