"""The shell around one connection: carries out effects, follows the sessions that are open (``tails``), sends.

A client that does not take what is sent within ``SEND_SECONDS`` is let go; it comes back with its cursor.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from websockets.asyncio.server import broadcast
from websockets.exceptions import ConnectionClosed, ConnectionClosedError
from websockets.protocol import State

from assistant.domain.access import SCOPES
from assistant.domain.errors import AssistantError, LimitReached, NotFound
from assistant.gateway import memories, sessions, turns
from assistant.gateway.addresses import ClientSocket
from assistant.gateway.auth import Authenticator, Caller
from assistant.gateway.connection import Close, Connection, Effect, Keep, Perform, Send
from assistant.gateway.live import LiveSockets
from assistant.gateway.pace import Pace
from assistant.gateway.pictures import Intake
from assistant.gateway.presence import Presence
from assistant.gateway.tails import Tails
from assistant.gateway.unfinished import Unfinished
from assistant.gateway.wire.answers import (
    Ack,
    AuthAck,
    Error,
    Hello,
    Limits,
    LimitsUpdated,
    SessionOpenAck,
)
from assistant.gateway.wire.commands import (
    Auth,
    ImageBegin,
    MemoryAdd,
    MemoryList,
    MemoryRemove,
    Performed,
    SessionClose,
    SessionCommand,
    SessionDelete,
    SessionExport,
    SessionList,
    SessionOpen,
    SessionRename,
    TurnCancel,
    TurnRegenerate,
    TurnSubmit,
)
from assistant.gateway.wire.frame import CLOSE_BUSY, CLOSE_INTERNAL, CLOSE_POLICY, CLOSE_REVOKED, CursorFrame, Frame
from assistant.ports.conversations import ConversationStore, Cursor
from assistant.service.memories import Memories
from assistant.service.sessions import Sessions
from assistant.service.submissions import MOST_CHARACTERS, MOST_PICTURES, Submissions
from assistant.version import SERVER

log = logging.getLogger(__name__)
AUTH_SECONDS = 10.0
SEND_SECONDS = 10.0
SHORT = 4096
"""Characters of a frame that is sent without waiting, and without the timer and the lock that waiting takes."""
DISMISS_SECONDS = 1.0
"""A client that is let go for good has so long to answer the close."""
MOST_OPEN_SESSIONS = 32


@dataclass(frozen=True, slots=True)
class Services:
    """What a gateway has for all its clients.

    Attributes:
        taught: what owners have taught.
        kept: their conversations, to list, rename, export and delete.
        unfinished: uploads whose connection was lost.
        door: who is let in.
        live: whom a revoked key ends.
        presence: how many are here.
        frames_per_second: that are read of one connection; 0 is any number.
    """

    conversations: ConversationStore
    submissions: Submissions
    taught: Memories
    kept: Sessions
    intake: Intake
    unfinished: Unfinished
    door: Authenticator
    live: LiveSockets
    presence: Presence
    frames_per_second: float = 0.0


class Peer:
    """One client."""

    def __init__(self, socket: ClientSocket, services: Services) -> None:
        self._socket = socket
        self._services = services
        self._pace = Pace(services.frames_per_second, asyncio.get_running_loop().time())
        self._connection = Connection(services.intake.decoders.limits, services.unfinished)
        self._ack_first = asyncio.Lock()
        """Held from carrying a command out to its ack, so that no event of it overtakes the ack."""

        self._tails = Tails(services.conversations, self._send_text, self._ack_first, self._broken)
        self._dismissed = False
        self._closing: asyncio.Task[None] | None = None
        self._refused = CLOSE_POLICY
        """The close code of whoever is not let in."""

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
            self._services.live.discard(self)
            await self._tails.stop()
            if self._connection.is_authenticated:
                await self._services.presence.leave(self._connection.owner, self._tell)

    async def dismiss(self, reason: str) -> None:
        """Carry out nothing more, send no more events, and close for good."""
        self._dismissed = True
        await self._tails.stop()
        try:
            async with asyncio.timeout(DISMISS_SECONDS):
                await self._socket.close(CLOSE_REVOKED, reason)
        except TimeoutError:
            self._socket.transport.abort()

    def _announced(self) -> Limits:
        limits = self._services.intake.decoders.limits
        return Limits(
            image_bytes=limits.bytes,
            image_pixels=limits.pixels,
            images=MOST_PICTURES,
            text_chars=MOST_CHARACTERS,
        )

    def _expire(self) -> None:
        self._closing = asyncio.create_task(self._socket.close(CLOSE_POLICY, "no auth in time"))

    def _broken(self) -> None:
        """A tail that breaks closes the socket: the client comes back, instead of waiting for nothing."""
        self._closing = asyncio.create_task(self._socket.close(CLOSE_INTERNAL, "please reconnect"))

    async def _apply(self, effect: Effect) -> None:
        match effect:
            case Send(frame):
                await self._send(frame)
            case Close(code, reason):
                await self._socket.close(code, reason)
            case Perform(command):
                await self._perform(command)
            case Keep(command, data, sha256):
                owner = self._connection.owner
                await self._answer(command.id, lambda: self._services.intake.keep(owner, command.id, data, sha256))

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
                await self._tails.unfollow(command.session_id)
                await self._send(Ack(id=command.id))
            case SessionRename() | SessionDelete():
                async with self._ack_first:
                    await self._answer(command.id, lambda: self._session(command))
            case SessionList() | SessionExport():
                await self._answer(command.id, lambda: self._session(command))
            case TurnSubmit() | TurnRegenerate():
                async with self._ack_first:
                    await self._answer(command.id, lambda: self._asked(command))
            case TurnCancel():
                async with self._ack_first:
                    await self._answer(command.id, lambda: self._cancel(command))
            case ImageBegin():
                await self._answer(command.id, lambda: self._services.intake.begin(self._connection, command))
            case MemoryAdd() | MemoryList() | MemoryRemove():
                owner = self._connection.owner
                await self._answer(command.id, lambda: memories.answer(self._services.taught, owner, command))

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
        identity = await self._services.door.identify(caller.token if command.token is None else command.token, caller)
        self._refused = CLOSE_BUSY  # whoever it is may come back later
        self._services.live.add(self, identity)
        standing = await self._services.presence.enter(identity.owner, self._tell)
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
        owner, conversations = self._connection.owner, self._services.conversations
        if command.session_id not in self._tails and len(self._tails) >= MOST_OPEN_SESSIONS:
            raise LimitReached(
                "too_many_sessions", f"At most {MOST_OPEN_SESSIONS} sessions are open on one connection."
            )
        if command.session_id is None:
            session_id, start = await conversations.create(owner)
            snapshot = None
        else:
            session_id, head = command.session_id, await conversations.head(owner, command.session_id)
            wanted = Cursor(command.cursor.epoch, command.cursor.seq) if command.cursor else None
            start, snapshot = await turns.start_of(conversations, session_id, head, wanted)
        await self._tails.follow(session_id, start.seq, snapshot)
        return SessionOpenAck(
            id=command.id, session_id=session_id, cursor=CursorFrame(epoch=start.epoch, seq=start.seq)
        )

    async def _session(self, command: SessionCommand) -> Frame:
        return await sessions.answer(self._services.kept, self._connection.owner, command)

    async def _asked(self, command: TurnSubmit | TurnRegenerate) -> Frame:
        return await turns.answer(self._services.submissions, self._connection.owner, command)

    async def _cancel(self, command: TurnCancel) -> Frame:
        for session_id in self._tails:
            try:
                await self._services.conversations.cancel(
                    self._connection.owner, session_id, command.turn_id, command.seen_chars
                )
            except NotFound:
                continue
            return Ack(id=command.id)
        raise NotFound("turn_not_found", "There is no such turn in the sessions that are open here.")

    async def _tell(self, event: LimitsUpdated) -> None:
        """Send news that nobody waits for: never before the ack of auth, and not to a client that reads nothing."""
        if self._connection.is_authenticated and self._takes_all:
            await self._send(event)

    async def _send(self, frame: Frame) -> None:
        await self._send_text(frame.to_json())

    @property
    def _takes_all(self) -> bool:
        """Whether the client is there, and the system has taken all that was sent."""
        return self._socket.state is State.OPEN and not self._socket.transport.get_write_buffer_size()

    async def _send_text(self, text: str) -> None:
        if len(text) <= SHORT and self._takes_all:
            broadcast([self._socket], text)
            return
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._socket.send(text)
        except TimeoutError:
            log.info("a client does not read: letting it go")
            self._socket.transport.abort()
            raise ConnectionClosedError(None, None) from None
