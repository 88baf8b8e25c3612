import pytest

from assistant.domain.limits import duration, exhausted, never, too_many_running, too_many_sockets


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.001, "1 s"), (11.2, "12 s"), (120, "120 s"), (121, "3 min"), (7200, "120 min"), (7201, "3 h"), (86400, "24 h")],
)
def test_a_time_is_told_rounded_up(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_a_refusal_says_what_when_and_what_to_do() -> None:
    error = exhausted("turns", 11.5)
    assert (error.code, error.retry_after) == ("turns_exhausted", 11.5)
    assert error.message == "You have used up your messages for now. Send this one in 12 s."
    assert never("bytes", 20, 10).message == "This takes 20 bytes of pictures; at most 10 are allowed. Ask for less."
    assert never("bytes", 20, 10).retry_after is None
    for counted in (too_many_running(3), too_many_sockets(3)):
        assert "3" in counted.message
        assert counted.retry_after
