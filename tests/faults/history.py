"""What happened in a campaign, as it was recorded: what clients asked and were told, what was killed, what is kept."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Invoked:
    """A client sent a message. ``key`` is its client message id, and its text."""

    client: str
    session: str
    key: str
    at: float


@dataclass(frozen=True, slots=True)
class Acked:
    """The message was acknowledged."""

    client: str
    session: str
    key: str
    turn_id: str
    at: float


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame of a session reached a client: an event or a snapshot, as JSON."""

    client: str
    session: str
    frame: str
    at: float


@dataclass(frozen=True, slots=True)
class Fault:
    """Something was killed or stopped."""

    kind: str
    at: float


@dataclass(frozen=True, slots=True)
class Recovered:
    """All parts run again."""

    at: float


@dataclass(frozen=True, slots=True)
class Complaint:
    """A client was told something that nobody who talks like this should be told, or nothing for too long."""

    client: str
    text: str
    at: float


Record = Invoked | Acked | Seen | Fault | Recovered | Complaint


@dataclass(slots=True)
class History:
    """Records in the order in which they were made, ``at`` in seconds since 1970; the logs at the end.

    Attributes:
        logs: session -> its events in order, as JSON.
    """

    records: list[Record] = field(default_factory=list)
    logs: dict[str, list[str]] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write it as JSON lines, for a person who wants to know why a promise was broken."""
        lines = [{"record": type(record).__name__, **asdict(record)} for record in self.records]
        logs = [{"log": session, "events": events} for session, events in self.logs.items()]
        path.write_text("".join(f"{json.dumps(line)}\n" for line in [*lines, *logs]), encoding="utf-8")
