"""The connection as a state machine: whatever comes, it answers each command once and never raises."""

import hashlib
import json
from collections import Counter
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from assistant.domain.access import Identity
from assistant.domain.errors import AssistantError
from assistant.gateway.connection import Close, Connection, Effect, Keep, Perform, Send
from assistant.gateway.wire.answers import Error, Pong
from assistant.gateway.wire.commands import Auth, ImageBegin, ImageEnd
from assistant.gateway.wire.reading import Chunk
from assistant.images import ImageLimits

LIMITS = ImageLimits(bytes=1000)
UPLOAD = UUID("018f2f6e-7f43-7cc4-9d6d-3a3f1d4c5b6a")


def connected() -> Connection:
    connection = Connection(LIMITS)
    connection.authenticated(Identity(owner="anonymous"))
    return connection


def command(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind, "id": "7", **fields})


def error_of(effect: Effect | None) -> Error:
    assert isinstance(effect, Send)
    assert isinstance(effect.frame, Error)
    return effect.frame


def begin(data: bytes, upload_id: UUID) -> str:
    digest = hashlib.sha256(data).hexdigest()
    return command("image.begin", upload_id=str(upload_id), sha256=digest, bytes=len(data))


def test_nobody_is_anybody_before_auth() -> None:
    connection = Connection(LIMITS)
    assert not connection.is_authenticated
    with pytest.raises(RuntimeError, match="not authenticated"):
        _ = connection.owner
    connection.authenticated(Identity(owner="ada"))
    assert connection.owner == "ada"


@pytest.mark.parametrize(
    "frame",
    [
        command("session.open"),
        command("turn.submit", session_id="s", client_message_id="c", text="x"),
        command("turn.cancel", turn_id="t"),
        begin(b"x", UPLOAD),
        command("image.end", upload_id=str(UPLOAD)),
    ],
)
def test_nothing_is_done_before_auth(frame: str) -> None:
    error = error_of(Connection(LIMITS).receive(frame))
    assert (error.code, error.command_id) == ("auth_required", "7")


def test_ping_is_answered_before_and_after_auth() -> None:
    for connection in (Connection(LIMITS), connected()):
        assert connection.receive(command("ping")) == Send(Pong(id="7"))


def test_auth_is_performed_once() -> None:
    connection = Connection(LIMITS)
    effect = connection.receive(command("auth"))
    assert isinstance(effect, Perform)
    assert isinstance(effect.command, Auth)
    connection.authenticated(Identity(owner="ada"))
    error = error_of(connection.receive(command("auth")))
    assert (error.code, error.command_id) == ("already_authenticated", "7")
    assert connection.owner == "ada"


@pytest.mark.parametrize("frame", [b"", b"x", Chunk.pack(UPLOAD, 0, b"x")])
def test_bytes_before_auth_end_the_connection(frame: bytes) -> None:
    effect = Connection(LIMITS).receive(frame)
    assert isinstance(effect, Close)
    assert effect.code == 1008


@pytest.mark.parametrize("frame", [b"", b"x" * 24, bytes(24 + 256 * 1024 + 1)])
def test_bytes_that_are_no_chunk(frame: bytes) -> None:
    assert error_of(connected().receive(frame)).code == "invalid_chunk"


def test_a_malformed_frame_is_answered_with_the_id_it_has() -> None:
    error = error_of(connected().receive('{"type":"ping","id":"7","x":1}'))
    assert (error.code, error.command_id) == ("invalid_command", "7")
    assert error_of(connected().receive("nope")).command_id is None


def test_a_picture_on_its_way() -> None:
    connection, upload_id, data = connected(), uuid4(), b"a picture"
    effect = connection.receive(begin(data, upload_id))
    assert isinstance(effect, Perform)
    assert isinstance(effect.command, ImageBegin)
    assert not connection.expect(effect.command).data
    assert connection.receive(Chunk.pack(upload_id, 0, data[:4])) is None
    assert connection.receive(Chunk.pack(upload_id, 4, data[4:])) is None
    kept = connection.receive(command("image.end", upload_id=str(upload_id)))
    assert isinstance(kept, Keep)
    assert isinstance(kept.command, ImageEnd)
    assert kept.data == data
    assert kept.sha256 == hashlib.sha256(data).hexdigest()


def test_an_upload_that_never_began() -> None:
    connection = connected()
    upload_id = uuid4()
    error = error_of(connection.receive(Chunk.pack(upload_id, 0, b"x")))
    assert (error.code, error.command_id) == ("upload_unknown", None)
    error = error_of(connection.receive(command("image.end", upload_id=str(upload_id))))
    assert (error.code, error.command_id) == ("upload_unknown", "7")


# --- Any sequence of frames -----------------------------------------------------------------------------------------


class AnyClient(RuleBasedStateMachine):
    """A client that sends anything; the shell beside it is the one of ``peer`` without a world."""

    uploads = Bundle("uploads")

    def __init__(self) -> None:
        super().__init__()
        self.connection = Connection(LIMITS)
        self.sent: list[str] = []
        self.answered: Counter[str] = Counter()
        self.closed = False

    def send(self, kind: str, **fields: Any) -> Effect | None:
        name = str(len(self.sent))
        self.sent.append(name)
        return self.feed(json.dumps({"type": kind, "id": name, **fields}))

    def feed(self, frame: str | bytes) -> Effect | None:
        effect = self.connection.receive(frame)
        match effect:
            case Send(Error(command_id=name) | Pong(id=name)) if name is not None:
                self.answered[name] += 1
            case Perform(Auth(id=name)):
                self.connection.authenticated(Identity(owner="ada"))
                self.answered[name] += 1
            case Perform(ImageBegin(id=name) as announced):
                self.begin(name, announced)
            case Perform(asked):
                self.answered[asked.id] += 1
            case Keep(asked, _, _):
                self.answered[asked.id] += 1
            case Close():
                self.closed = True
        return effect

    def begin(self, name: str, announced: ImageBegin) -> None:
        self.answered[name] += 1
        try:
            assert self.connection.expect(announced).is_of(announced)
        except AssistantError as error:
            assert error.code in ("image_empty", "image_too_large", "upload_exists", "too_many_uploads")  # noqa: PT017

    @rule()
    def auth(self) -> None:
        self.send("auth", token=None)

    @rule(kind=st.sampled_from(["ping", "session.open", "session.fly", "", "turn.submit"]), more=st.booleans())
    def other(self, kind: str, more: bool) -> None:
        self.send(kind, **({"more": 1} if more else {}))

    @rule(text=st.text(max_size=30))
    def noise(self, text: str) -> None:
        assert isinstance(self.feed(text), Send)

    @rule(data=st.binary(max_size=40))
    def noise_in_bytes(self, data: bytes) -> None:
        assert isinstance(self.feed(data), Send | Close)

    @rule(target=uploads, data=st.binary(max_size=60), right=st.booleans())
    def begin_upload(self, data: bytes, right: bool) -> tuple[UUID, bytes]:
        upload_id = uuid4()
        digest = hashlib.sha256(data if right else data + b"x").hexdigest()
        self.send("image.begin", upload_id=str(upload_id), sha256=digest, bytes=len(data))
        return upload_id, data

    @rule(upload=uploads)
    def begin_again(self, upload: tuple[UUID, bytes]) -> None:
        self.send("image.begin", upload_id=str(upload[0]), sha256="0" * 64, bytes=5)

    @rule(upload=uploads, start=st.integers(0, 60), length=st.integers(1, 60))
    def send_piece(self, upload: tuple[UUID, bytes], start: int, length: int) -> None:
        self.feed(Chunk.pack(upload[0], start, upload[1][start : start + length]))

    @rule(upload=uploads)
    def send_all(self, upload: tuple[UUID, bytes]) -> None:
        self.feed(Chunk.pack(upload[0], 0, upload[1]))

    @rule(upload=consumes(uploads))
    def end_upload(self, upload: tuple[UUID, bytes]) -> None:
        effect = self.send("image.end", upload_id=str(upload[0]))
        if isinstance(effect, Keep):  # what is kept is always what was announced
            assert hashlib.sha256(effect.data).hexdigest() == effect.sha256

    @invariant()
    def every_command_is_answered_once(self) -> None:
        assert self.answered == Counter(self.sent)


AnyClient.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestAnyClient = AnyClient.TestCase
