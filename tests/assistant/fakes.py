"""Small in-memory implementations of the ports. What a test wants to go wrong, it says by a field."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any, Literal

from assistant.domain.access import ApiKey
from assistant.domain.errors import Conflict, LimitReached, NotFound
from assistant.domain.events import Event, MessageCreated, Place, PlacedEvent, TurnDelta, TurnFinished, TurnStatus
from assistant.domain.limits import Allowance, Allowances, Resource, Standing, too_many_sockets
from assistant.domain.memories import Memory
from assistant.domain.messages import ImagePart, Message, Part, TextPart, ToolCallPart
from assistant.domain.sessions import SessionInfo, SessionPage
from assistant.domain.summaries import Summary
from assistant.domain.turns import ROOT, Submission, TurnOptions
from assistant.ports.conversations import (
    Accepted,
    Bell,
    ConversationStore,
    Cursor,
    Dropped,
    LogEntry,
    Record,
    TurnRecord,
)
from assistant.ports.engine import (
    End,
    Engine,
    EngineEvent,
    EngineInfo,
    EngineMessage,
    EnginePicture,
    EngineRequest,
    Looked,
    PictureUse,
    Token,
)
from assistant.ports.keys import KeyStore
from assistant.ports.limits import LimitStore, Turn
from assistant.ports.memories import MemoryStore, Style
from assistant.ports.pictures import PictureStore, StoredPicture
from assistant.ports.queue import Claim, TurnQueue
from assistant.ports.surroundings import Clock, Health

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
OWNER = "anonymous"


class FixedClock(Clock):
    def now(self) -> datetime:
        return NOW


def info(**changes: Any) -> EngineInfo:
    fields: dict[str, Any] = {
        "name": "fake",
        "model": "fake-1",
        "context_tokens": 1000,
        "default_max_tokens": 100,
        "slots": 2,
        "encoder": "e_1",
    }
    return EngineInfo(**(fields | changes))


def end(reason: Literal["stop", "length"] = "stop") -> End:
    return End(reason, prompt_tokens=7, completion_tokens=3, image_cells=49, first_token_ms=1.0, total_ms=2.0)


class FakeEngine(Engine):
    """Says what it was told to: events, or an exception to raise, or a callable to await between events.

    Attributes:
        requests: what was asked.
        counted: the texts whose tokens were counted.
        closed: how many streams were closed or came to their end.
    """

    def __init__(self, *script: Any, info_: EngineInfo | None = None) -> None:
        self.info = info_ or info()
        self.script = list(script)
        self.requests: list[EngineRequest] = []
        self.counted: list[str] = []
        self.looked_at: list[str] = []
        self.forgotten: list[str] = []
        self.closed = 0

    def count_tokens(self, messages: Sequence[EngineMessage]) -> int:
        self.counted += [message.text for message in messages]
        return sum(len(message.text.split()) for message in messages)

    async def generate(self, request: EngineRequest) -> AsyncGenerator[EngineEvent]:
        self.requests.append(request)
        try:
            for step in self.script:
                if isinstance(step, BaseException):
                    raise step
                if callable(step):
                    await step()
                else:
                    yield step
        finally:
            self.closed += 1

    async def look_at(self, picture: EnginePicture) -> bytes:
        self.looked_at.append(picture.image_id)
        return f"style of {picture.sha256}".encode()

    async def forget(self, sha256: str) -> None:
        self.forgotten.append(sha256)

    async def close(self) -> None:
        self.closed += 1


def words(text: str, weight: float | None = None) -> list[Token]:
    """A text as tokens of a character each."""
    return [Token(character, weight) for character in text]


def looked(*image_ids: str, seen: bool = True, reason: str | None = None) -> Looked:
    return Looked(tuple(PictureUse(image_id, seen, reason) for image_id in image_ids))


class FakeBell(Bell):
    """Rings when told to; ``error`` is raised instead."""

    def __init__(self) -> None:
        self.rung = asyncio.Event()
        self.error: Exception | None = None

    async def wait(self) -> list[LogEntry]:
        await self.rung.wait()
        self.rung.clear()
        if self.error is not None:
            raise self.error
        return []


class FakeQueue(TurnQueue):
    """Remembers what was written.

    Attributes:
        before_append: awaited before events are taken; may raise.
        before_finish: as ``before_append``.
    """

    def __init__(self) -> None:
        self.appended: list[Event] = []
        self.appends: list[list[Event]] = []
        self.finished: list[tuple[list[Event], TurnStatus]] = []
        self.renewed = 0
        self.released: list[tuple[str, bool]] = []
        self.release_error: Exception | None = None
        self.cancel = FakeBell()
        self.claims: asyncio.Queue[Claim | Exception | None] = asyncio.Queue()
        self.watch_error: Exception | None = None
        self.before_append: Callable[[Sequence[Event]], Any] | None = None
        self.before_finish: Callable[[], Any] | None = None

    async def claim(self, worker: str, engine: EngineInfo, wait: float) -> Claim | None:
        try:
            async with asyncio.timeout(wait):
                found = await self.claims.get()
        except TimeoutError:
            return None
        if isinstance(found, Exception):
            raise found
        return found

    async def append(self, claim: Claim, events: Sequence[Event]) -> None:
        if self.before_append is not None:
            await self.before_append(events)
        self.appended += events
        self.appends.append(list(events))

    async def renew(self, claim: Claim) -> None:
        self.renewed += 1

    async def finish(self, claim: Claim, events: Sequence[Event], status: TurnStatus) -> None:
        if self.before_finish is not None:
            await self.before_finish()
        self.finished.append((list(events), status))

    async def release(self, claim: Claim, *, cut_off: bool = False) -> None:
        if self.release_error is not None:
            raise self.release_error
        self.released.append((claim.turn_id, cut_off))

    def watch_cancel(self, claim: Claim) -> AbstractAsyncContextManager[Bell]:
        return self._watching()

    @contextlib.asynccontextmanager
    async def _watching(self) -> AsyncIterator[Bell]:
        if self.watch_error is not None:
            raise self.watch_error
        yield self.cancel

    @property
    def text(self) -> str:
        """The deltas joined."""
        return "".join(event.text for event in self.appended if isinstance(event, TurnDelta))

    @property
    def status(self) -> TurnStatus:
        return self.finished[-1][1]

    @property
    def answer(self) -> Message | None:
        """The assistant's message at the end of the turn, if there is one."""
        events = self.finished[-1][0]
        return next((event.message for event in events if isinstance(event, MessageCreated)), None)

    @property
    def last(self) -> TurnFinished:
        event = self.finished[-1][0][-1]
        assert isinstance(event, TurnFinished)
        return event


class FakeConversations(ConversationStore):
    """Keeps messages and events in lists; every session is ``OWNER``'s.

    Attributes:
        error: raised by every method that a client reaches.
        dropped: turns that deletion says it has ended.
    """

    def __init__(self, *messages: Message, epoch: str = "e_1") -> None:
        self.log: dict[str, list[LogEntry]] = {}
        self.said = list(messages)
        self.submitted: list[Submission] = []
        self.turn_ids: list[str | None] = []
        self.cancelled: list[tuple[str, str, int]] = []
        self.turns: set[str] = set()
        self.epoch = epoch
        self.error: Exception | None = None
        self.bells: list[FakeBell] = []
        self.dropped = Dropped()
        self.titles: dict[str, str] = {}
        self.summaries: list[Summary] = []

    def add(self, session_id: str, *events: str) -> None:
        """Put JSON into a log and ring."""
        entries = self.log.setdefault(session_id, [])
        entries += [LogEntry(len(entries) + i, event) for i, event in enumerate(events, 1)]
        for bell in self.bells:
            bell.rung.set()

    async def create(self, owner: str) -> tuple[str, Cursor]:
        self._check()
        session_id = f"s_{len(self.log) + 1}"
        self.log[session_id] = []
        return session_id, Cursor(self.epoch, 0)

    async def head(self, owner: str, session_id: str) -> Cursor:
        self._check()
        if owner != OWNER or session_id not in self.log:
            raise NotFound("session_not_found", "There is no such conversation.")
        return Cursor(self.epoch, len(self.log[session_id]))

    async def accepted(self, owner: str, session_id: str, submission: Submission) -> Accepted | None:
        await self.head(owner, session_id)
        for before in self.submitted:
            if before.client_message_id == submission.client_message_id:
                if before != submission:
                    raise Conflict("client_message_id_reused", "Another message has this id.")
                return Accepted("t_1", "m_1", duplicate=True)
        return None

    async def submit(
        self, owner: str, session_id: str, submission: Submission, *, turn_id: str | None = None
    ) -> Accepted:
        if (before := await self.accepted(owner, session_id, submission)) is not None:
            return before
        said = {message.message_id for message in self.said}
        if {submission.parent, submission.regenerates} - said - {None, ROOT}:
            raise NotFound("message_not_found", "There is no such message in this conversation.")
        self.submitted.append(submission)
        self.turn_ids.append(turn_id)
        turn_id = f"t_{len(self.submitted)}"
        self.turns.add(turn_id)
        return Accepted(turn_id, f"m_{len(self.submitted)}", duplicate=False)

    async def sessions(self, owner: str, before: str | None, limit: int) -> SessionPage:
        self._check()
        known = list(self.log) if owner == OWNER else []
        start = int(before or 0)
        infos = [
            SessionInfo(
                session_id=name,
                title=self.titles.get(name, "hi"),
                created_at=NOW,
                updated_at=NOW,
                messages=len(self.said),
            )
            for name in known[start : start + limit]
        ]
        return SessionPage(sessions=tuple(infos), before=str(start + limit) if len(known) > start + limit else None)

    async def rename(self, owner: str, session_id: str, title: str) -> None:
        await self.head(owner, session_id)
        self.titles[session_id] = title

    async def delete(self, owner: str, session_id: str) -> Dropped:
        await self.head(owner, session_id)
        del self.log[session_id]
        for bell in self.bells:
            bell.rung.set()
        return self.dropped

    async def cancel(self, owner: str, session_id: str, turn_id: str, seen_chars: int) -> None:
        self._check()
        if turn_id not in self.turns:
            raise NotFound("turn_not_found", "There is no such turn.")
        self.cancelled.append((session_id, turn_id, seen_chars))

    async def read(self, session_id: str, after: int, limit: int = 500) -> list[LogEntry]:
        self._check()
        if session_id not in self.log:
            raise NotFound("session_not_found", "There is no such conversation.")
        return [entry for entry in self.log[session_id] if entry.seq > after][:limit]

    async def record(self, owner: str, session_id: str) -> Record:
        await self.head(owner, session_id)
        places = (Place(session_id=session_id, epoch=self.epoch, seq=seq, at=NOW) for seq in itertools.count(1))
        events: list[Event] = [MessageCreated(message=message) for message in self.said]
        events += [TurnFinished(turn_id=turn_id, status="completed") for turn_id in sorted(self.turns)]
        placed = tuple(PlacedEvent(place=place, event=event) for place, event in zip(places, events, strict=False))
        return Record(session_id, self.titles.get(session_id, "hi"), NOW, placed)

    async def messages(self, session_id: str) -> list[Message]:
        self._check()
        return list(self.said)

    async def turn(self, owner: str, session_id: str, turn_id: str) -> TurnRecord:
        head = await self.head(owner, session_id)
        if turn_id not in self.turns:
            raise NotFound("turn_not_found", "There is no such turn.")
        return TurnRecord(turn_id, turn_id.replace("t_", "m_"), "queued", (), head)

    async def summary(self, session_id: str) -> Summary | None:
        self._check()
        return next(reversed(self.summaries), None)

    async def keep_summary(self, owner: str, session_id: str, summary: Summary) -> None:
        self._check()
        self.summaries.append(summary)

    def watch(self, session_id: str) -> AbstractAsyncContextManager[Bell]:
        return self._watching()

    @contextlib.asynccontextmanager
    async def _watching(self) -> AsyncIterator[Bell]:
        bell = FakeBell()
        bell.rung.set()
        self.bells.append(bell)
        try:
            yield bell
        finally:
            self.bells.remove(bell)

    def _check(self) -> None:
        if self.error is not None:
            raise self.error


class FakePictures(PictureStore):
    """Pictures of ``OWNER``."""

    def __init__(self, *image_ids: str, size: tuple[int, int] = (64, 48)) -> None:
        self.kept: dict[str, tuple[StoredPicture, bytes]] = {}
        self.error: Exception | None = None
        self.loaded: list[str] = []
        self.used: dict[str, list[str]] = {}
        self.full = False
        for image_id in image_ids:
            picture = StoredPicture(image_id, f"sha-{image_id}", f"source-{image_id}", *size, resized=False)
            self.kept[image_id] = picture, f"bytes of {image_id}".encode()

    async def add(self, owner: str, picture: StoredPicture, data: bytes) -> None:
        self._check()
        self.kept[picture.image_id] = picture, data

    async def check_room(self, owner: str, size: int) -> None:
        self._check()
        if self.full:
            raise LimitReached("picture_quota", "Your pictures take all that is kept for you.")

    async def find(self, owner: str, source_sha256: str) -> StoredPicture | None:
        self._check()
        return next((p for p, _ in self.kept.values() if p.source_sha256 == source_sha256 and owner == OWNER), None)

    async def get(self, owner: str, image_id: str) -> StoredPicture:
        self._check()
        if image_id not in self.kept or owner != OWNER:
            raise NotFound("image_not_found", "There is no such picture. Send it again.")
        return self.kept[image_id][0]

    async def data(self, picture: StoredPicture) -> bytes:
        self._check()
        self.loaded.append(picture.image_id)
        return self.kept[picture.image_id][1]

    async def use(self, owner: str, session_id: str, image_ids: Sequence[str]) -> list[StoredPicture]:
        found = [await self.get(owner, image_id) for image_id in image_ids]
        self.used.setdefault(session_id, []).extend(image_ids)
        return found

    async def release(self, owner: str, session_id: str, keep: Collection[str] = ()) -> None:
        self._check()
        gone = [name for name in self.used.pop(session_id, []) if name not in keep]
        for name in gone:
            del self.kept[name]

    def _check(self) -> None:
        if self.error is not None:
            raise self.error


class FakeMemories(MemoryStore):
    """What ``OWNER`` has taught; nobody else has taught anything.

    Attributes:
        error: raised by every method.
    """

    def __init__(self, *memories: Memory) -> None:
        self.kept = {memory.memory_id: memory for memory in memories}
        self.made: dict[str, Style] = {}
        self.error: Exception | None = None

    async def add(self, owner: str, memory: Memory) -> int:
        self._check()
        self.kept[memory.memory_id] = memory
        self.made.pop(memory.memory_id, None)
        return len(self.kept)

    async def memories(self, owner: str) -> list[Memory]:
        self._check()
        return list(self.kept.values()) if owner == OWNER else []

    async def remove(self, owner: str, memory_ids: Sequence[str]) -> int:
        self._check()
        return sum(self.kept.pop(name, None) is not None for name in memory_ids) if owner == OWNER else 0

    async def styles(self, owner: str) -> dict[str, Style]:
        self._check()
        return dict(self.made)

    async def learn(self, owner: str, memory_id: str, style: Style) -> None:
        self._check()
        self.made[memory_id] = style

    def _check(self) -> None:
        if self.error is not None:
            raise self.error


class FakeKeys(KeyStore):
    """Keeps keys in a dictionary, and rings when one is revoked unless ``silent``.

    Attributes:
        error: raised by every method that looks.
    """

    def __init__(self, *keys: ApiKey) -> None:
        self.kept_keys = {key.key_id: key for key in keys}
        self.bell = FakeBell()
        self.silent = False
        self.error: Exception | None = None
        self.found = 0

    async def add(self, key: ApiKey) -> None:
        self.kept_keys[key.key_id] = key

    async def find(self, key_id: str) -> ApiKey | None:
        self._check()
        self.found += 1
        return self.kept_keys.get(key_id)

    async def all(self) -> list[ApiKey]:
        return list(self.kept_keys.values())

    async def revoke(self, key_id: str) -> bool:
        if not self.silent:
            self.bell.rung.set()
        return self.kept_keys.pop(key_id, None) is not None

    async def kept(self, key_ids: Collection[str]) -> set[str]:
        self._check()
        return {key_id for key_id in key_ids if key_id in self.kept_keys}

    def watch(self) -> AbstractAsyncContextManager[Bell]:
        return self._watching()

    @contextlib.asynccontextmanager
    async def _watching(self) -> AsyncIterator[Bell]:
        yield self.bell

    def _check(self) -> None:
        if self.error is not None:
            raise self.error


class FakeLimits(LimitStore):
    """Remembers what was taken.

    Attributes:
        error: raised by every method.
        taken: amounts, and the turn they were for.
        settled: turn, tokens, refund.
        left: what is said to be left.
    """

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.taken: list[tuple[dict[Resource, int], Turn | None]] = []
        self.settled: list[tuple[str, int | None, bool]] = []
        self.left = Standing({}, {})
        self.sockets: list[int] = []
        self.bell = FakeBell()

    async def take(
        self, owner: str, amounts: Mapping[Resource, int], allowances: Allowances, turn: Turn | None = None
    ) -> None:
        self._check()
        self.taken.append((dict(amounts), turn))

    async def settle(self, owner: str, turn_id: str, tokens: int | None, *, refund: bool = False) -> None:
        self._check()
        self.settled.append((turn_id, tokens, refund))

    async def standing(self, owner: str, buckets: Mapping[Resource, Allowance]) -> Standing:
        self._check()
        return self.left

    async def hold_sockets(self, owner: str, gateway: str, count: int, most: int) -> None:
        self._check()
        if most and count > most:
            raise too_many_sockets(most)
        self.sockets.append(count)

    def watch(self, owner: str) -> AbstractAsyncContextManager[Bell]:
        return contextlib.nullcontext(self.bell)

    def _check(self) -> None:
        if self.error is not None:
            raise self.error


class FakeHealth(Health):
    def __init__(self, problem: str | None = None) -> None:
        self.says = problem

    async def problem(self) -> str | None:
        return self.says

    async def workers(self) -> int | None:
        return 2


def claim(**changes: Any) -> Claim:
    fields: dict[str, Any] = {
        "session_id": "s_1",
        "turn_id": "t_1",
        "owner": OWNER,
        "job_id": "1-0",
        "fence": 1,
        "attempt": 1,
        "failures": 0,
        "options": TurnOptions(),
        "committed": "",
    }
    fields |= changes
    return Claim(**({"message_id": f"m_user{fields['turn_id'][2:]}"} | fields))


def question(text: str = "What is this?", *image_ids: str, turn: int = 1, tool: ToolCallPart | None = None) -> Message:
    """A user's message."""
    images = [ImagePart(image_id=image_id, width=64, height=48) for image_id in image_ids]
    parts: list[Part] = [*images, *([tool] if tool else []), *([TextPart(text=text)] if text else [])]
    return _message("user", parts, turn)


def answer(text: str = "A cat.", turn: int = 1) -> Message:
    """An assistant's message."""
    return _message("assistant", [TextPart(text=text)], turn)


def _message(role: Literal["user", "assistant"], parts: Sequence[Part], turn: int) -> Message:
    before = f"m_user{turn}" if role == "assistant" else f"m_assistant{turn - 1}" if turn > 1 else None
    return Message(
        message_id=f"m_{role}{turn}",
        role=role,
        parts=tuple(parts),
        turn_id=f"t_{turn}",
        created_at=NOW,
        parent=before,
    )


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait for something to become true."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.002)
