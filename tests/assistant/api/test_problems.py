"""Errors as responses: the status of every code, and when to come back."""

import ast
import json
from http import HTTPStatus
from pathlib import Path

import pytest

from assistant.api.problems import CODES, HttpError, problem, status_of
from assistant.domain.errors import (
    AssistantError,
    Conflict,
    EngineError,
    InvalidRequest,
    LimitReached,
    NotFound,
    PictureError,
    Unavailable,
)

API = Path(__file__).resolve().parents[3] / "assistant" / "api"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidRequest("malformed_json", "."), 400),
        (InvalidRequest("auth_invalid", "."), 401),
        (InvalidRequest("scope_missing", "."), 403),
        (NotFound("session_not_found", "."), 404),
        (HttpError("method_not_allowed", "."), 405),
        (Conflict("client_message_id_reused", "."), 409),
        (LimitReached("picture_quota", "."), 409),
        (LimitReached("image_too_large", "."), 413),
        (PictureError("image_unsupported", "."), 415),
        (PictureError("image_truncated", "."), 422),
        (InvalidRequest("invalid_command", "."), 422),
        (LimitReached("turns_beyond_limit", "."), 422),
        (LimitReached("turns_exhausted", ".", retry_after=0.2), 429),
        (EngineError("engine_failed", "."), 500),
        (Unavailable("unavailable", "."), 503),
    ],
    ids=lambda value: getattr(value, "code", value),
)
def test_statuses(error: AssistantError, status: int) -> None:
    assert status_of(error) == status


def test_when_to_come_back_is_in_whole_seconds_and_never_too_early() -> None:
    response = problem(LimitReached("turns_exhausted", "Later.", retry_after=1.2))
    assert response.headers["Retry-After"] == "2"
    assert json.loads(bytes(response.body)) == {
        "title": HTTPStatus(429).phrase,
        "status": 429,
        "detail": "Later.",
        "code": "turns_exhausted",
        "retry_after": 1.2,
    }
    assert problem(Unavailable("unavailable", "Later.")).headers["Retry-After"] == "1"
    assert "Retry-After" not in problem(LimitReached("bytes_beyond_limit", "Never.")).headers


def test_codes_of_http_are_listed_and_used() -> None:
    used = {
        str(ast.literal_eval(node.args[0]))
        for path in API.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "HttpError"
    }
    assert used == set(CODES)
    assert list(CODES) == sorted(CODES)
    assert all(advice.endswith(".") for _, advice in CODES.values())
