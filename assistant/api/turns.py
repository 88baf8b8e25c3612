"""Requests about turns: submit one, have a message answered again, read how a turn stands, stop it."""

from starlette.responses import Response

from assistant.api.answers import TurnDetail, told
from assistant.api.requests import json_command, named
from assistant.api.services import Asked, Services
from assistant.gateway import turns
from assistant.gateway.wire.commands import TurnCancel, TurnRegenerate, TurnSubmit


async def submit(services: Services, asked: Asked) -> Response:
    """Send a message to be answered."""
    command = await json_command(asked.request, TurnSubmit, session_id=named(asked.request, "session_id"))
    return await _answer(services, asked, command)


async def regenerate(services: Services, asked: Asked) -> Response:
    """Have a message answered again."""
    path = {name: named(asked.request, name) for name in ("session_id", "message_id")}
    return await _answer(services, asked, await json_command(asked.request, TurnRegenerate, **path))


async def read(services: Services, asked: Asked) -> Response:
    """Read how a turn stands."""
    session_id, turn_id = named(asked.request, "session_id"), named(asked.request, "turn_id")
    return told(TurnDetail.of(session_id, await services.conversations.turn(asked.owner, session_id, turn_id)))


async def cancel(services: Services, asked: Asked) -> Response:
    """Stop a turn."""
    session_id, turn_id = named(asked.request, "session_id"), named(asked.request, "turn_id")
    command = await json_command(asked.request, TurnCancel, turn_id=turn_id)
    await services.conversations.cancel(asked.owner, session_id, command.turn_id, command.seen_chars)
    return Response(status_code=204)


async def _answer(services: Services, asked: Asked, command: TurnSubmit | TurnRegenerate) -> Response:
    ack = await turns.answer(services.submissions, asked.owner, command)
    place = f"/v1/sessions/{command.session_id}/turns/{ack.turn_id}"
    return told(ack, 200 if ack.duplicate else 202, {"Location": place})
