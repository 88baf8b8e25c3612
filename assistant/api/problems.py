"""Errors as responses: ``application/problem+json`` (RFC 9457) with the codes of the protocol.

``type`` is left out, which stands for ``about:blank``: what tells problems apart is ``code``. ``detail`` is for a
person and says what to do.
"""

import math
from collections.abc import Mapping
from http import HTTPStatus

from pydantic import BaseModel
from starlette.responses import Response

from assistant.domain.errors import (
    AssistantError,
    Conflict,
    InvalidRequest,
    LimitReached,
    NotFound,
    PictureError,
    Unavailable,
)

MEDIA_TYPE = "application/problem+json"
UNAVAILABLE_SECONDS = 1.0

CODES: dict[str, tuple[HTTPStatus, str]] = {
    "body_too_large": (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Send less in one request."),
    "body_too_slow": (HTTPStatus.REQUEST_TIMEOUT, "Send the request again; bytes have to keep coming."),
    "host_not_allowed": (HTTPStatus.MISDIRECTED_REQUEST, "Ask by a name that the server answers to (`--origins`)."),
    "internal_error": (HTTPStatus.INTERNAL_SERVER_ERROR, "Try again; the operator finds why in the log."),
    "invalid_cursor": (HTTPStatus.UNPROCESSABLE_ENTITY, "Give the `id` of an event as it came, or leave it out."),
    "media_type_unsupported": (HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Say in `Content-Type` what the message names."),
    "method_not_allowed": (HTTPStatus.METHOD_NOT_ALLOWED, "Use a method of the `Allow` header."),
    "origin_not_allowed": (HTTPStatus.FORBIDDEN, "Ask the operator to name the page's origin (`--origins`)."),
    "route_not_found": (HTTPStatus.NOT_FOUND, "Look in `/openapi.json` for what there is."),
}
"""Codes that only HTTP has: their status, and what a client should do. All others are the protocol's."""

_STATUSES: dict[str, HTTPStatus] = {
    "auth_expired": HTTPStatus.UNAUTHORIZED,
    "auth_invalid": HTTPStatus.UNAUTHORIZED,
    "auth_required": HTTPStatus.UNAUTHORIZED,
    "image_too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "image_unsupported": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "malformed_json": HTTPStatus.BAD_REQUEST,
    "picture_quota": HTTPStatus.CONFLICT,
    "scope_missing": HTTPStatus.FORBIDDEN,
}
_OF_KINDS: tuple[tuple[type[AssistantError], HTTPStatus], ...] = (
    (NotFound, HTTPStatus.NOT_FOUND),
    (Conflict, HTTPStatus.CONFLICT),
    (Unavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (InvalidRequest, HTTPStatus.UNPROCESSABLE_ENTITY),
    (PictureError, HTTPStatus.UNPROCESSABLE_ENTITY),
)


class HttpError(AssistantError):
    """Something that only HTTP can get wrong; ``code`` is one of ``CODES``."""


class Problem(BaseModel):
    """What was wrong (RFC 9457).

    Attributes:
        title: the phrase of the status.
        detail: for a person; says what to do.
        code: for programs.
        retry_after: seconds after which the same request may succeed; ``Retry-After`` has it in whole ones.
    """

    title: str
    status: int
    detail: str
    code: str
    retry_after: float | None = None


def status_of(error: AssistantError) -> HTTPStatus:
    """The status of an error. A limit that time does not help against is the request's own fault."""
    if error.code in CODES:
        return CODES[error.code][0]
    if error.code in _STATUSES:
        return _STATUSES[error.code]
    if isinstance(error, LimitReached):
        waits = error.retry_after is not None
        return HTTPStatus.TOO_MANY_REQUESTS if waits else HTTPStatus.UNPROCESSABLE_ENTITY
    return next((status for kind, status in _OF_KINDS if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)


def problem(error: AssistantError, headers: Mapping[str, str] | None = None) -> Response:
    """The response that tells of an error."""
    status = status_of(error)
    wait = error.retry_after
    if wait is None and status is HTTPStatus.SERVICE_UNAVAILABLE:
        wait = UNAVAILABLE_SECONDS
    told = Problem(
        title=status.phrase, status=status, detail=error.message, code=error.code, retry_after=wait
    ).model_dump_json(exclude_none=True)
    more = {"Cache-Control": "no-store", **(headers or {})}
    if wait is not None:
        more["Retry-After"] = str(math.ceil(wait))
    if status is HTTPStatus.UNAUTHORIZED:
        more["WWW-Authenticate"] = "Bearer" if error.code == "auth_required" else 'Bearer error="invalid_token"'
    return Response(told, status, more, MEDIA_TYPE)
