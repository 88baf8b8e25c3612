import pytest

from assistant.domain import errors


@pytest.mark.parametrize(
    "kind",
    [
        errors.InvalidRequest,
        errors.NotFound,
        errors.Conflict,
        errors.LimitReached,
        errors.PictureError,
        errors.EngineError,
        errors.Unavailable,
    ],
)
def test_every_error_for_clients_has_a_code_and_a_message(kind: type[errors.AssistantError]) -> None:
    error = kind("some_code", "Do this.", retry_after=1.5)
    assert isinstance(error, errors.AssistantError)
    assert (error.code, error.message, str(error), error.retry_after) == ("some_code", "Do this.", "Do this.", 1.5)
    assert kind("c", "m").retry_after is None
