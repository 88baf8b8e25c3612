"""Where conversations are kept: what was accepted is never lost."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from assistant.domain.events import PlacedEvent, TurnState
from assistant.domain.messages import Message
from assistant.domain.sessions import SessionPage
from assistant.domain.summaries import Summary
from assistant.domain.turns import Submission


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a session's log. A ``seq`` means nothing without its ``epoch``."""

    epoch: str
    seq: int


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One placed event: its number and its JSON, ready to send."""

    seq: int
    json: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """A submission that is now promised. ``duplicate``: it had been before, and is not run again."""

    turn_id: str
    message_id: str
    duplicate: bool


@dataclass(frozen=True, slots=True)
class Dropped:
    """Turns of a deleted conversation that had not ended: those that a worker had begun, and those that waited."""

    begun: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """All that lasts of a conversation."""

    session_id: str
    title: str
    created_at: datetime
    events: tuple[PlacedEvent, ...]


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """A turn as it stands.

    Attributes:
        message_id: of the message that it answers.
        events: of the turn, from its start on, or its last restart; once it has ended, without deltas and progress.
        cursor: after the last event of its session; what comes later is not in ``events``.
    """

    turn_id: str
    message_id: str
    status: TurnState
    events: tuple[PlacedEvent, ...]
    cursor: Cursor


class Bell(Protocol):
    """Rings when something new may be in a log. May ring for nothing; never misses."""

    async def wait(self) -> list[LogEntry]:
        """Return at the next ring, at once if it rang since the last call.

        What is returned came with the ring, in order, and saves a look at the log. It may be less than what is new,
        nothing even: only the log is whole.
        """


class ConversationStore(Protocol):
    """Keeps conversations of owners. A session that is not the owner's is ``NotFound``."""

    async def create(self, owner: str) -> tuple[str, Cursor]:
        """A new session: its id, and the cursor before its first event."""

    async def head(self, owner: str, session_id: str) -> Cursor:
        """The cursor after the last event."""

    async def submit(
        self, owner: str, session_id: str, submission: Submission, *, turn_id: str | None = None
    ) -> Accepted:
        """Append the user's message and queue its turn. Until both are done, nothing is promised; sent again, both are.

        Args:
            turn_id: of the turn, where it has a name already; see ``new_turn_id``.

        Raises:
            NotFound: no such session of this owner, or no such message in it as is to be followed or answered again.
                An answer may be followed as soon as its turn is accepted, whatever becomes of it.
            Conflict: the client message id was used for another content.
            LimitReached: too many turns of this session wait already.
        """

    async def accepted(self, owner: str, session_id: str, submission: Submission) -> Accepted | None:
        """The turn that this very submission was accepted as before, if it was. Raises as ``submit``."""

    async def sessions(self, owner: str, before: str | None, limit: int) -> SessionPage:
        """The owner's conversations that have a message, newest first; ``before`` is a page's own.

        Raises:
            InvalidRequest: ``before`` is of no page.
        """

    async def rename(self, owner: str, session_id: str, title: str) -> None:
        """Give a conversation a title. Whoever follows it is told by ``session.updated``."""

    async def delete(self, owner: str, session_id: str) -> Dropped:
        """Delete all that is kept of a conversation. A turn that runs is stopped, and can write no more."""

    async def cancel(self, owner: str, session_id: str, turn_id: str, seen_chars: int) -> None:
        """Ask whoever runs the turn to stop. A turn that has ended stays as it is."""

    async def read(self, session_id: str, after: int, limit: int = 500) -> list[LogEntry]:
        """Events with ``seq > after``, in order. The owner is checked by whoever opened the session.

        Raises:
            NotFound: the session is gone.
        """

    async def messages(self, session_id: str) -> list[Message]:
        """All committed messages, in the order of the log."""

    async def record(self, owner: str, session_id: str) -> Record:
        """All that lasts of a conversation."""

    async def turn(self, owner: str, session_id: str, turn_id: str) -> TurnRecord:
        """How a turn stands. Raises ``NotFound`` for one that this session does not have."""

    async def summary(self, session_id: str) -> Summary | None:
        """What was kept by ``keep_summary`` last."""

    async def keep_summary(self, owner: str, session_id: str, summary: Summary) -> None:
        """Keep what the beginning of a conversation was about, as long as the conversation."""

    def watch(self, session_id: str) -> AbstractAsyncContextManager[Bell]:
        """A bell for the log of this session."""
