"""Requests about conversations as a whole, and their events."""

from starlette.responses import Response
from starlette.types import ASGIApp

from assistant.api.answers import SessionDetail, told
from assistant.api.events import MEDIA_TYPE, EventStream, read_cursor
from assistant.api.requests import json_command, named, query_command
from assistant.api.services import Asked, Services
from assistant.domain.events import MessageCreated
from assistant.gateway import sessions, turns
from assistant.gateway.wire.answers import LimitsUpdated, SessionOpenAck
from assistant.gateway.wire.commands import SessionDelete, SessionExport, SessionList, SessionOpen, SessionRename
from assistant.gateway.wire.frame import CursorFrame

_FORMS = {"json": ("application/json", "json"), "markdown": ("text/markdown; charset=utf-8", "md")}


async def page(services: Services, asked: Asked) -> Response:
    """List conversations."""
    command = query_command(asked.request, SessionList)
    return told(await sessions.answer(services.kept, asked.owner, command))


async def create(services: Services, asked: Asked) -> Response:
    """Begin a conversation."""
    command = await json_command(asked.request, SessionOpen)
    session_id, start = await services.conversations.create(asked.owner)
    cursor = CursorFrame(epoch=start.epoch, seq=start.seq)
    ack = SessionOpenAck(id=command.id, session_id=session_id, cursor=cursor)
    return told(ack, 201, {"Location": f"/v1/sessions/{session_id}"})


async def read(services: Services, asked: Asked) -> Response:
    """Read a conversation."""
    session_id = named(asked.request, "session_id")
    head = await services.conversations.head(asked.owner, session_id)
    record = await services.conversations.record(asked.owner, session_id)
    last = record.events[-1].place.seq if record.events else 0
    return told(
        SessionDetail(
            session_id=session_id,
            title=record.title,
            created_at=record.created_at,
            cursor=CursorFrame(epoch=head.epoch, seq=last),
            messages=tuple(one.event.message for one in record.events if isinstance(one.event, MessageCreated)),
        )
    )


async def rename(services: Services, asked: Asked) -> Response:
    """Give a conversation a title."""
    command = await json_command(asked.request, SessionRename, session_id=named(asked.request, "session_id"))
    return told(await sessions.answer(services.kept, asked.owner, command))


async def delete(services: Services, asked: Asked) -> Response:
    """Delete a conversation."""
    command = query_command(asked.request, SessionDelete, session_id=named(asked.request, "session_id"))
    await sessions.answer(services.kept, asked.owner, command)
    return Response(status_code=204)


async def export(services: Services, asked: Asked) -> Response:
    """Take a conversation along."""
    command = query_command(asked.request, SessionExport, session_id=named(asked.request, "session_id"))
    document = await services.kept.document(asked.owner, command.session_id, command.format)
    media_type, ending = _FORMS[command.format]
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="{command.session_id}.{ending}"',
    }
    return Response(document, headers=headers, media_type=media_type)


async def events(services: Services, asked: Asked) -> ASGIApp:
    """Follow a conversation."""
    session_id = named(asked.request, "session_id")
    said = asked.request.headers.get("last-event-id") or asked.request.query_params.get("cursor")
    wanted = read_cursor(said) if said else None
    conversations = services.conversations
    head = await conversations.head(asked.owner, session_id)
    start, snapshot = await turns.start_of(conversations, session_id, head, wanted)

    if asked.request.method == "HEAD":
        return Response(media_type=MEDIA_TYPE)

    async def tell(_: LimitsUpdated) -> None:
        """What is left of limits is no event of a session: ``/v1/limits`` has it."""

    async def left() -> None:
        services.streams.discard(stream)
        services.live.discard(stream)
        await services.presence.leave(asked.owner, tell)

    stream = EventStream(conversations, session_id, head.epoch, start.seq, snapshot, left)
    await services.presence.enter(asked.owner, tell)
    services.streams.add(stream)
    services.live.add(stream, asked.who)
    return stream
