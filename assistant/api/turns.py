"""Requests about turns: submit one, have a message answered again, read how a turn stands, stop it."""

from starlette.responses import Response

from assistant.api.answers import TurnDetail, told
from assistant.api.requests import json_command, named
from assistant.api.services import Asked, Services
from assistant.domain.messages import ToolCallPart
from assistant.gateway.wire.answers import TurnSubmitAck
from assistant.gateway.wire.commands import TurnCancel, TurnRegenerate, TurnSubmit
from assistant.ports.conversations import Accepted


async def submit(services: Services, asked: Asked) -> Response:
    """Send a message to be answered."""
    command = await json_command(asked.request, TurnSubmit, session_id=named(asked.request, "session_id"))
    tool = command.tool
    accepted = await services.submissions.accept(
        asked.owner,
        command.session_id,
        client_message_id=command.client_message_id,
        text=command.text,
        image_ids=command.images,
        tool=ToolCallPart(name=tool.name, arguments=tool.arguments) if tool else None,
        options=command.options,
        parent=command.parent,
    )
    return _accepted(command, accepted)


async def regenerate(services: Services, asked: Asked) -> Response:
    """Have a message answered again."""
    path = {name: named(asked.request, name) for name in ("session_id", "message_id")}
    command = await json_command(asked.request, TurnRegenerate, **path)
    accepted = await services.submissions.regenerate(
        asked.owner,
        command.session_id,
        command.message_id,
        client_message_id=command.client_message_id,
        options=command.options,
    )
    return _accepted(command, accepted)


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


def _accepted(command: TurnSubmit | TurnRegenerate, accepted: Accepted) -> Response:
    ack = TurnSubmitAck(
        id=command.id, turn_id=accepted.turn_id, message_id=accepted.message_id, duplicate=accepted.duplicate
    )
    place = f"/v1/sessions/{command.session_id}/turns/{accepted.turn_id}"
    return told(ack, 200 if accepted.duplicate else 202, {"Location": place})
