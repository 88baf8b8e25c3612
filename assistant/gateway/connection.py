"""One client's connection as a pure state machine: frames in, effects out. No socket, no clock, no store.

``server`` is the shell: it feeds frames in, carries the effects out in their order, and tells ``authenticated``.
"""

from dataclasses import dataclass

from assistant.domain.access import Identity, Scope
from assistant.domain.errors import AssistantError, InvalidRequest
from assistant.gateway.unfinished import Unfinished, Upload
from assistant.gateway.uploads import Uploads
from assistant.gateway.wire.answers import Error, Pong
from assistant.gateway.wire.commands import (
    AnyCommand,
    Auth,
    ImageBegin,
    ImageEnd,
    MemoryList,
    Performed,
    Ping,
    SessionClose,
    SessionExport,
    SessionList,
    SessionOpen,
)
from assistant.gateway.wire.frame import CLOSE_POLICY, Frame
from assistant.gateway.wire.reading import Chunk, MalformedFrame, parse_command
from assistant.images import ImageLimits


@dataclass(frozen=True, slots=True)
class Send:
    """Send a frame."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class Close:
    """Close the socket."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Perform:
    """Carry out a command that needs the world, and answer it."""

    command: Performed


@dataclass(frozen=True, slots=True)
class Keep:
    """Take in a whole picture, and answer the command."""

    command: ImageEnd
    data: bytearray
    sha256: str


Effect = Send | Close | Perform | Keep


class Connection:
    """The state of one connection: who it is, and which pictures are under way."""

    def __init__(self, limits: ImageLimits, unfinished: Unfinished | None = None) -> None:
        self._uploads = Uploads(limits, unfinished)
        self._identity: Identity | None = None

    @property
    def owner(self) -> str:
        """Whoever authenticated.

        Raises:
            RuntimeError: nobody has; the state machine lets no command through before.
        """
        if self._identity is None:
            raise RuntimeError("not authenticated")
        return self._identity.owner

    @property
    def is_authenticated(self) -> bool:
        return self._identity is not None

    def authenticated(self, identity: Identity) -> None:
        """The shell has found out who it is."""
        self._identity = identity

    def expect(self, announced: ImageBegin) -> Upload:
        """The picture is not known yet: its bytes are wanted. Raises as ``Uploads.begin``."""
        return self._uploads.begin(announced, self.owner)

    def unsent(self) -> dict[str, int]:
        """As ``Unfinished.unsent``."""
        return self._uploads.unsent()

    def lost(self) -> None:
        """The socket is gone."""
        self._uploads.leave()

    def forget(self, announced: ImageBegin) -> None:
        """Its bytes are not wanted after all."""
        self._uploads.forget(announced.upload_id)

    def receive(self, frame: str | bytes) -> Effect | None:
        """What to do about a frame; None for a piece of a picture that was taken."""
        try:
            if isinstance(frame, bytes):
                return self._chunk(frame)
            return self._command(parse_command(frame))
        except MalformedFrame as error:
            return Send(Error.of(error, error.command_id))
        except AssistantError as error:
            return Send(Error.of(error))

    def _chunk(self, frame: bytes) -> Effect | None:
        if not self.is_authenticated:
            return Close(CLOSE_POLICY, "authenticate first")
        self._check_scope("chat")
        self._uploads.add(Chunk.parse(frame))
        return None

    def _command(self, command: AnyCommand) -> Effect:
        if isinstance(command, Ping):
            return Send(Pong(id=command.id))
        if self.is_authenticated == isinstance(command, Auth):
            return Send(Error.of(_out_of_turn(command), command.id))
        try:
            return self._effect(command)
        except AssistantError as error:
            return Send(Error.of(error, command.id))

    def _effect(self, command: Performed | ImageEnd) -> Effect:
        if not isinstance(command, Auth):
            self._check_scope(_scope_of(command))
        match command:
            case ImageEnd():
                data, sha256 = self._uploads.end(command.upload_id)
                return Keep(command, data, sha256)
            case _:
                return Perform(command)

    def _check_scope(self, scope: Scope) -> None:
        if self._identity is not None:
            self._identity.check(scope)


def _scope_of(command: Performed | ImageEnd) -> Scope:
    """What a command takes: ``chat``, unless it changes nothing."""
    match command:
        case SessionOpen(session_id=str()) | SessionClose() | SessionList() | SessionExport() | MemoryList():
            return "read"
        case _:
            return "chat"


def _out_of_turn(command: AnyCommand) -> InvalidRequest:
    if isinstance(command, Auth):
        return InvalidRequest("already_authenticated", "This connection is authenticated already.")
    return InvalidRequest("auth_required", "Send auth first.")
