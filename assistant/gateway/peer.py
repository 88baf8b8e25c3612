"""The shell around one connection: carries out effects, tails the sessions that are open, sends.

It holds no queue of events: a slow client's events stay in the store until it is read to. A client that does not take
what is sent within ``SEND_SECONDS`` is let go; it comes back with its cursor.
"""

import asyncio
import contextlib
import itertools
import logging
import secrets
from collections.abc import Awaitable, Callable

from websockets.exceptions import ConnectionClosed, ConnectionClosedError

from assistant.domain.access import SCOPES
from assistant.domain.errors import AssistantError, LimitReached, NotFound, Unavailable
from assistant.domain.messages import ToolCallPart
from assistant.gateway import memories, sessions
from assistant.gateway.addresses import ClientSocket
from assistant.gateway.auth import Authenticator, Caller
from assistant.gateway.connection import Close, Connection, Effect, Keep, Perform, Send
from assistant.gateway.live import LiveSockets
from assistant.gateway.pace import Pace
from assistant.gateway.presence import Presence
from assistant.gateway.unfinished import Unfinished
from assistant.gateway.wire import (
    CLOSE_BUSY,
    CLOSE_INTERNAL,
    CLOSE_POLICY,
    CLOSE_REVOKED,
    Ack,
    Auth,
    AuthAck,
    CursorFrame,
    Error,
    Frame,
    Hello,
    ImageBegin,
    ImageReadyAck,
    Limits,
    LimitsUpdated,
    MemoryAdd,
    MemoryList,
    MemoryRemove,
    Performed,
    SessionClose,
    SessionCommand,
    SessionDelete,
    SessionDeleted,
    SessionExport,
    SessionList,
    SessionOpen,
    SessionOpenAck,
    SessionRename,
    SessionSnapshot,
    TurnCancel,
    TurnRegenerate,
    TurnSubmit,
    TurnSubmitAck,
)
from assistant.images import DecoderPool
from assistant.ports.conversations import Accepted, ConversationStore, Cursor, LogEntry
from assistant.ports.pictures import PictureStore, StoredPicture
from assistant.service.limits import Limits as OwnerLimits
from assistant.service.memories import Memories
from assistant.service.sessions import Sessions
from assistant.service.submissions import MOST_CHARACTERS, MOST_PICTURES, Submissions
from assistant.version import SERVER

log = logging.getLogger(__name__)
AUTH_SECONDS = 10.0
SEND_SECONDS = 10.0
DISMISS_SECONDS = 1.0
"""A client that is let go for good has so long to answer the close."""
MOST_OPEN_SESSIONS = 32
FIRST_READ, MOST_READ = 2, 64
"""Events that are read at once: few at first, for each may be long; then as many as may make up ``READ_CHARACTERS``."""
READ_CHARACTERS = 64 * 1024
"""What is held for a client that reads slowly."""


class Peer:
    """One client."""

    def __init__(
        self,
        socket: ClientSocket,
        conversations: ConversationStore,
        pictures: PictureStore,
        submissions: Submissions,
        taught: Memories,
        kept: Sessions,
        decoders: DecoderPool,
        unfinished: Unfinished,
        door: Authenticator,
        live: LiveSockets,
        owner_limits: OwnerLimits,
        presence: Presence,
        frames_per_second: float = 0.0,
    ) -> None:
        self._socket = socket
        self._conversations = conversations
        self._pictures = pictures
        self._submissions = submissions
        self._taught = taught
        self._kept = kept
        self._decoders = decoders
        self._door = door
        self._live = live
        self._dismissed = False
        self._owner_limits = owner_limits
        self._presence = presence
        self._pace = Pace(frames_per_second, asyncio.get_running_loop().time())
        self._connection = Connection(decoders.limits, unfinished)
        self._tails: dict[str, asyncio.Task[None]] = {}
        self._closing: asyncio.Task[None] | None = None
        self._refused = CLOSE_POLICY
        """The close code of whoever is not let in."""
        self._ack_first = asyncio.Lock()
        """Held from carrying a command out to its ack, so that no event of it overtakes the ack."""

        self._catching_up = asyncio.Lock()
        """Held while events wait to be sent that were read from the log: of one session at a time."""

    async def run(self) -> None:
        """Serve the client until it goes."""
        loop = asyncio.get_running_loop()
        deadline = loop.call_later(AUTH_SECONDS, self._expire)
        try:
            await self._send(Hello(server=SERVER, limits=self._announced()))
            async for frame in self._socket:
                if self._dismissed:
                    break
                effect = self._connection.receive(frame)
                if effect is not None:
                    await self._apply(effect)
                if self._connection.is_authenticated:
                    deadline.cancel()
                if wait := self._pace.delay(loop.time()):
                    await asyncio.sleep(wait)
        except ConnectionClosed:
            pass
        finally:
            deadline.cancel()
            self._connection.lost()
            self._live.discard(self)
            await self._stop_tails()
            if self._connection.is_authenticated:
                await self._presence.leave(self._connection.owner, self._tell)

    async def dismiss(self, reason: str) -> None:
        """Carry out nothing more, send no more events, and close for good."""
        self._dismissed = True
        await self._stop_tails()
        try:
            async with asyncio.timeout(DISMISS_SECONDS):
                await self._socket.close(CLOSE_REVOKED, reason)
        except TimeoutError:
            self._socket.transport.abort()

    async def _stop_tails(self) -> None:
        for task in self._tails.values():
            task.cancel()
        await asyncio.gather(*self._tails.values(), return_exceptions=True)

    def _announced(self) -> Limits:
        return Limits(
            image_bytes=self._decoders.limits.bytes,
            image_pixels=self._decoders.limits.pixels,
            images=MOST_PICTURES,
            text_chars=MOST_CHARACTERS,
        )

    def _expire(self) -> None:
        self._closing = asyncio.create_task(self._socket.close(CLOSE_POLICY, "no auth in time"))

    async def _apply(self, effect: Effect) -> None:
        match effect:
            case Send(frame):
                await self._send(frame)
            case Close(code, reason):
                await self._socket.close(code, reason)
            case Perform(command):
                await self._perform(command)
            case Keep(command, data, sha256):
                await self._answer(command.id, lambda: self._keep(command.id, data, sha256))

    async def _perform(self, command: Performed) -> None:
        match command:
            case Auth():
                await self._answer(command.id, lambda: self._authenticate(command))
                if not self._connection.is_authenticated:
                    await self._socket.close(self._refused, "not authenticated")
            case SessionOpen():
                async with self._ack_first:
                    await self._answer(command.id, lambda: self._open(command))
            case SessionClose():
                await self._unfollow(command.session_id)
                await self._send(Ack(id=command.id))
            case SessionRename() | SessionDelete():
                async with self._ack_first:
                    await self._answer(command.id, lambda: self._session(command))
            case SessionList() | SessionExport():
                await self._answer(command.id, lambda: self._session(command))
            case TurnSubmit():
                async with self._ack_first:
                    await self._answer(command.id, lambda: self._submit(command))
            case TurnRegenerate():
                async with self._ack_first:
                    await self._answer(command.id, lambda: self._regenerate(command))
            case TurnCancel():
                async with self._ack_first:
                    await self._answer(command.id, lambda: self._cancel(command))
            case ImageBegin():
                await self._answer(command.id, lambda: self._begin(command))
            case MemoryAdd() | MemoryList() | MemoryRemove():
                owner = self._connection.owner
                await self._answer(command.id, lambda: memories.answer(self._taught, owner, command))

    async def _answer(self, command_id: str, work: Callable[[], Awaitable[Frame]]) -> None:
        """Do the work and send its ack, or the error that says what was wrong."""
        try:
            frame = await work()
        except AssistantError as error:
            frame = Error.of(error, command_id)
        await self._send(frame)

    async def _authenticate(self, command: Auth) -> Frame:
        assert self._socket.request is not None  # noqa: S101  there is one after the handshake
        caller = Caller.of(self._socket, self._socket.request)
        identity = await self._door.identify(caller.token if command.token is None else command.token, caller)
        self._refused = CLOSE_BUSY  # whoever it is may come back later
        self._live.add(self, identity)
        standing = await self._presence.enter(identity.owner, self._tell)
        self._connection.authenticated(identity)
        self._socket.known()
        limited = bool(standing.remaining)
        return AuthAck(
            id=command.id,
            owner=identity.owner,
            scopes=tuple(scope for scope in SCOPES if identity.may(scope)),
            expires_at=identity.expires_at,
            remaining=standing.remaining if limited else None,
            reset=standing.reset if limited else None,
        )

    async def _open(self, command: SessionOpen) -> Frame:
        owner = self._connection.owner
        if command.session_id not in self._tails and len(self._tails) >= MOST_OPEN_SESSIONS:
            raise LimitReached(
                "too_many_sessions", f"At most {MOST_OPEN_SESSIONS} sessions are open on one connection."
            )
        if command.session_id is None:
            session_id, start = await self._conversations.create(owner)
            head = start
        else:
            session_id, head = command.session_id, await self._conversations.head(owner, command.session_id)
            start = Cursor(command.cursor.epoch, command.cursor.seq) if command.cursor else Cursor(head.epoch, 0)
        snapshot: SessionSnapshot | None = None
        if start.epoch != head.epoch or start.seq > head.seq:
            messages = await self._conversations.messages(session_id)
            snapshot = SessionSnapshot(session_id=session_id, epoch=head.epoch, seq=head.seq, messages=tuple(messages))
            start = head
        await self._follow(session_id, start.seq, snapshot)
        return SessionOpenAck(
            id=command.id, session_id=session_id, cursor=CursorFrame(epoch=start.epoch, seq=start.seq)
        )

    async def _session(self, command: SessionCommand) -> Frame:
        return await sessions.answer(self._kept, self._connection.owner, command)

    async def _submit(self, command: TurnSubmit) -> Frame:
        tool = command.tool
        accepted = await self._submissions.accept(
            self._connection.owner,
            command.session_id,
            client_message_id=command.client_message_id,
            text=command.text,
            image_ids=command.images,
            tool=ToolCallPart(name=tool.name, arguments=tool.arguments) if tool else None,
            options=command.options,
            parent=command.parent,
        )
        return _accepted(command.id, accepted)

    async def _regenerate(self, command: TurnRegenerate) -> Frame:
        accepted = await self._submissions.regenerate(
            self._connection.owner,
            command.session_id,
            command.message_id,
            client_message_id=command.client_message_id,
            options=command.options,
        )
        return _accepted(command.id, accepted)

    async def _cancel(self, command: TurnCancel) -> Frame:
        for session_id in self._tails:
            try:
                await self._conversations.cancel(
                    self._connection.owner, session_id, command.turn_id, command.seen_chars
                )
            except NotFound:
                continue
            return Ack(id=command.id)
        raise NotFound("turn_not_found", "There is no such turn in the sessions that are open here.")

    async def _begin(self, command: ImageBegin) -> Frame:
        known = await self._pictures.find(self._connection.owner, command.sha256)
        if known is not None:
            return _ready(command.id, known)
        self._decoders.limits.check_bytes(command.bytes)
        await self._pictures.check_room(self._connection.owner, command.bytes)
        awaited = self._connection.expect(command)
        try:
            await self._owner_limits.begin_picture(self._connection.owner, command.bytes - awaited.offset)
        except AssistantError:
            self._connection.forget(command)
            raise
        return awaited

    async def _keep(self, command_id: str, data: bytearray, sha256: str) -> Frame:
        kept = await self._decoders.normalise(data)
        await self._owner_limits.keep_picture(self._connection.owner, kept.width * kept.height)
        picture = StoredPicture(
            image_id=f"i_{secrets.token_urlsafe(18)}",
            sha256=kept.sha256,
            source_sha256=sha256,
            width=kept.width,
            height=kept.height,
            resized=kept.resized,
            animated=kept.animated,
        )
        await self._pictures.add(self._connection.owner, picture, kept.data)
        return _ready(command_id, picture)

    async def _follow(self, session_id: str, after: int, snapshot: SessionSnapshot | None) -> None:
        """Send what follows ``after``, from now on. Opening a session again moves its cursor."""
        await self._unfollow(session_id)
        tail = asyncio.create_task(self._tail(session_id, after, snapshot), name=f"tail {session_id}")
        tail.add_done_callback(self._tail_ended)
        self._tails[session_id] = tail

    async def _unfollow(self, session_id: str) -> None:
        if (tail := self._tails.pop(session_id, None)) is not None:
            tail.cancel()
            await asyncio.gather(tail, return_exceptions=True)

    def _tail_ended(self, tail: asyncio.Task[None]) -> None:
        """A tail that breaks closes the socket: the client comes back, instead of waiting for nothing."""
        if not tail.cancelled() and (error := tail.exception()) is not None:
            log.error("a tail broke: %s", type(error).__name__)
            self._closing = asyncio.create_task(self._socket.close(CLOSE_INTERNAL, "please reconnect"))

    async def _tail(self, session_id: str, after: int, snapshot: SessionSnapshot | None) -> None:
        if snapshot is not None:
            async with self._ack_first:
                await self._send(snapshot)
        async with self._conversations.watch(session_id) as bell:
            while True:
                fresh = await bell.wait()
                try:
                    if _continues(after, fresh):
                        after = await self._send_entries(after, fresh)
                    else:
                        after = await self._catch_up(session_id, after)
                except Unavailable:  # the bell rings when the store is back
                    log.warning("the store does not answer: a tail waits")
                except NotFound:
                    await self._say_deleted(session_id)
                    return
                except ConnectionClosed:
                    return

    async def _say_deleted(self, session_id: str) -> None:
        async with self._ack_first:
            if self._tails.get(session_id) is asyncio.current_task():
                del self._tails[session_id]
            with contextlib.suppress(ConnectionClosed):
                await self._send(SessionDeleted(session_id=session_id))

    async def _catch_up(self, session_id: str, after: int) -> int:
        limit = FIRST_READ
        while True:
            async with self._catching_up:
                entries = await self._conversations.read(session_id, after, limit)
                after = await self._send_entries(after, entries)
            if len(entries) < limit:
                return after
            size = sum(len(entry.json) for entry in entries)
            limit = max(min(READ_CHARACTERS * len(entries) // size, 2 * limit, MOST_READ), 1)

    async def _send_entries(self, after: int, entries: list[LogEntry]) -> int:
        async with self._ack_first:
            for entry in entries:
                if entry.seq > after:
                    await self._send_text(entry.json)
                    after = entry.seq
        return after

    async def _tell(self, event: LimitsUpdated) -> None:
        """Send news that nobody waits for: never before the ack of auth, and not to a client that reads nothing."""
        if self._connection.is_authenticated and not self._socket.transport.get_write_buffer_size():
            await self._send(event)

    async def _send(self, frame: Frame) -> None:
        await self._send_text(frame.to_json())

    async def _send_text(self, text: str) -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._socket.send(text)
        except TimeoutError:
            log.info("a client does not read: letting it go")
            self._socket.transport.abort()
            raise ConnectionClosedError(None, None) from None


def _continues(after: int, entries: list[LogEntry]) -> bool:
    """Whether these entries leave no gap behind ``after`` or between them."""
    if not entries or entries[0].seq > after + 1:
        return False
    return all(later.seq == earlier.seq + 1 for earlier, later in itertools.pairwise(entries))


def _accepted(command_id: str, accepted: Accepted) -> TurnSubmitAck:
    return TurnSubmitAck(
        id=command_id, turn_id=accepted.turn_id, message_id=accepted.message_id, duplicate=accepted.duplicate
    )


def _ready(command_id: str, picture: StoredPicture) -> ImageReadyAck:
    return ImageReadyAck(
        id=command_id,
        image_id=picture.image_id,
        width=picture.width,
        height=picture.height,
        resized=picture.resized,
        animated=picture.animated,
    )
