"""Times on the wire and in the store: RFC 3339, UTC, microseconds."""

from datetime import UTC, datetime

from assistant.ports.surroundings import Clock


def rfc3339(moment: datetime) -> str:
    """The moment as ``2026-01-31T12:00:00.000000Z``."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class SystemClock(Clock):
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)
