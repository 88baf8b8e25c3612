"""What a request says: who sends it, its body within bounds, and the command of the protocol that it stands for."""

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from starlette.requests import Request

from assistant.api.problems import HttpError
from assistant.domain.errors import InvalidRequest, NotFound
from assistant.gateway.auth import Caller
from assistant.gateway.shape import check_shape
from assistant.gateway.wire.commands import Command, SessionExport, SessionOpen
from assistant.gateway.wire.frame import FRAME_BYTES
from assistant.gateway.wire.reading import MalformedFrame, parse_command

PIECE_SECONDS = 15.0
"""So long may nothing come of a body that is not whole."""
ENVELOPE = ("type", "id", "session_id", "message_id", "turn_id")
"""Fields of a command that the path says, or that only a socket needs."""
OMITTED: dict[type[Command], tuple[str, ...]] = {SessionOpen: ("cursor",), SessionExport: ("part",)}
"""Fields that mean nothing here: a new conversation has no cursor, and an export comes whole."""
_ID = re.compile(r"[A-Za-z0-9_.-]{1,128}")

Kind = TypeVar("Kind", bound=Command)


def caller(request: Request) -> Caller:
    """Who sends a request. A cookie does not count: whoever uses it says ``Authorization``, which no form can."""
    address = request.client.host if request.client else ""
    return Caller.read(address, request.headers.getlist)


def named(request: Request, name: str) -> str:
    """An id in the path.

    Raises:
        NotFound: nothing has such an id.
    """
    value = str(request.path_params[name])
    if not _ID.fullmatch(value):
        raise NotFound(f"{name.removesuffix('_id')}_not_found", "There is nothing of this id. Check the address.")
    return value


def announced_size(request: Request) -> int | None:
    """The size of the body by its header; None where it comes in chunks."""
    length = request.headers.get("content-length")  # the parser has checked that it is a number
    return None if length is None else int(length)


async def body(request: Request, most: int) -> bytearray:
    """The body, of which at most ``most`` bytes are ever held.

    Raises:
        HttpError: it is longer, by its header or as it comes, or it comes too slowly.
    """
    if (announced_size(request) or 0) > most:
        raise _too_large(most)
    data = bytearray()
    pieces = aiter(request.stream())
    while True:
        try:
            async with asyncio.timeout(PIECE_SECONDS):
                piece = await anext(pieces, None)
        except TimeoutError as error:
            raise HttpError("body_too_slow", f"Nothing came for {PIECE_SECONDS:.0f} s. Send it again.") from error
        if piece is None:
            return data
        data += piece
        if len(data) > most:
            raise _too_large(most)


def _too_large(most: int) -> HttpError:
    return HttpError("body_too_large", f"A request may have {most} bytes here. Send less.")


def media_type(request: Request) -> str:
    """The media type of the body, without parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def json_command(request: Request, kind: type[Kind], **path: str) -> Kind:
    """The command that a JSON body stands for; no body at all is ``{}``.

    Args:
        path: what the path says of it.

    Raises:
        HttpError: the body is not said to be JSON, or is too large or too slow.
        InvalidRequest: it is no JSON, or does not fit.
    """
    data = await body(request, FRAME_BYTES)
    if data and media_type(request) != "application/json":
        raise HttpError("media_type_unsupported", "Send JSON, and say so: `Content-Type: application/json`.")
    return command(kind, _object(data), **path)


def query_command(request: Request, kind: type[Kind], **path: str) -> Kind:
    """The command that the query stands for. Raises ``InvalidRequest``."""
    return command(kind, dict(request.query_params), **path)


def command(kind: type[Kind], given: Mapping[str, Any], **path: str) -> Kind:
    """A command of the protocol, checked as one that comes on a socket.

    Raises:
        InvalidRequest: fields are wrong, unknown, or said by the path.
    """
    if said := [name for name in (*ENVELOPE, *OMITTED.get(kind, ())) if name in given]:
        raise InvalidRequest("invalid_command", f"Leave out `{said[0]}`: the path says it, or nothing has to.")
    name = kind.model_fields["type"].annotation.__args__[0]  # type: ignore[union-attr]
    try:
        found = parse_command(json.dumps({**given, **path, "type": name, "id": "http"}))
    except MalformedFrame as error:
        raise InvalidRequest(error.code, error.message) from error
    assert isinstance(found, kind)  # noqa: S101 - by its type
    return found


def _object(data: bytearray) -> dict[str, Any]:
    """The object that a body is. Its shape is bounded before it is parsed."""
    try:
        text = data.decode()
        check_shape(text)
        found = json.loads(text) if text.strip() else {}
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are ones
        raise InvalidRequest("malformed_json", "The body is not JSON in UTF-8. Send one JSON object.") from error
    if not isinstance(found, dict):
        raise InvalidRequest("malformed_json", "The body is JSON, but no object. Send one JSON object.")
    return found
