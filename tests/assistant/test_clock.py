from datetime import UTC, datetime, timedelta, timezone

from assistant.clock import SystemClock, rfc3339


def test_times_are_utc_with_microseconds() -> None:
    assert rfc3339(datetime(2026, 1, 31, 12, tzinfo=UTC)) == "2026-01-31T12:00:00.000000Z"
    moment = datetime(2026, 1, 31, 1, 2, 3, 4, tzinfo=timezone(timedelta(hours=2)))
    assert rfc3339(moment) == "2026-01-30T23:02:03.000004Z"


def test_the_clock_tells_utc() -> None:
    now = SystemClock().now()
    assert now.tzinfo is UTC
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=10)
