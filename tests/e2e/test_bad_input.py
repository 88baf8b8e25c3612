"""What a person or a program can send wrongly: each has its error, the socket stays open, nothing is stored."""

import asyncio
import hashlib
import json
import uuid
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

from assistant.gateway.wire.frame import CHUNK_BYTES, SUBPROTOCOL
from assistant.gateway.wire.reading import Chunk
from tests import pictures
from tests.conftest import Server, Start
from tests.e2e.raw import Raw

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def server(start_session: Start, data: Path) -> Server:
    return start_session("serve", "--engine", "scripted", "--scripted-delay-ms", "1", "--data", str(data))


BAD_PICTURES = {
    "not an image": (b"these are words, not a picture", "image_unsupported"),
    "truncated": (pictures.truncated_jpeg(), "image_truncated"),
    "1.6 gigapixels": (pictures.bomb_png(), "image_too_many_pixels"),
    "HEIC": (pictures.heic(), "image_damaged"),
    "SVG": (pictures.svg(), "image_unsupported"),
    "empty": (b"", "image_empty"),
    "11 MB": (bytes(11 * 1024 * 1024), "image_too_large"),
}


async def send(client: Raw, data: bytes) -> dict[str, object]:
    """Upload as an honest client does; the answer that decides."""
    upload_id = uuid.uuid4()
    begun = await client.command(
        "image.begin", upload_id=str(upload_id), sha256=hashlib.sha256(data).hexdigest(), bytes=len(data), mime=""
    )
    if begun["type"] == "error":
        return begun
    for offset in range(0, len(data), CHUNK_BYTES):
        await client.socket.send(Chunk.pack(upload_id, offset, data[offset : offset + CHUNK_BYTES]))
    return await client.command("image.end", upload_id=str(upload_id))


@pytest.mark.parametrize("name", BAD_PICTURES)
async def test_a_bad_picture_is_refused_by_name(server: Server, data: Path, name: str) -> None:
    picture, code = BAD_PICTURES[name]
    async with Raw(server.socket_url) as client:
        answer = await send(client, picture)
        assert (answer["type"], answer["code"]) == ("error", code)
        assert str(answer["message"]).endswith(".")
        assert (await client.command("ping"))["type"] == "pong"
    assert not (data / "pictures").exists(), "something was stored"


async def test_a_piece_may_have_as_many_bytes_of_data_as_is_announced(server: Server) -> None:
    async with Raw(server.socket_url) as client:
        most, upload_id = client.hello["limits"]["chunk_bytes"], uuid.uuid4()
        begin = {"upload_id": str(upload_id), "sha256": "0" * 64, "bytes": 3 * most}
        await client.command("image.begin", **begin)
        await client.socket.send(Chunk.pack(upload_id, 0, bytes(most)))
        await client.socket.send(Chunk.pack(upload_id, most, bytes(most + 1)))
        refused = await client.receive()
        assert (refused["type"], refused["code"]) == ("error", "invalid_chunk")
        assert (await client.command("image.begin", **begin))["offset"] == most


def called(arguments: str) -> str:
    """A message with a tool that is called with this."""
    return (
        '{"type":"turn.submit","id":"7","session_id":"s_x","client_message_id":"c","text":"hi",'
        f'"tool":{{"name":"caption","arguments":{arguments}}}}}'
    )


@pytest.mark.parametrize(
    ("text", "code", "command_id"),
    [
        ("{not json", "malformed_json", None),
        ("[]", "invalid_command", None),
        ('{"id":"7"}', "unknown_command", "7"),
        ('{"type":"session.fly","id":"7"}', "unknown_command", "7"),
        ('{"type":"session.open","id":"7","session_id":"s_nobody"}', "session_not_found", "7"),
        ('{"type":"turn.submit","id":"7","session_id":"s_x","client_message_id":"c"}', "message_empty", "7"),
        (
            '{"type":"turn.submit","id":"7","session_id":"s_x","client_message_id":"c","text":"hi"}',
            "session_not_found",
            "7",
        ),
        ('{"type":"turn.submit","id":"7","session_id":"s_x","text":"hi"}', "invalid_command", "7"),
        ('{"type":"turn.cancel","id":"7","turn_id":"t_x"}', "turn_not_found", "7"),
        ('{"type":"image.end","id":"7","upload_id":"1b4e28ba-2fa1-11d2-883f-0016d3cca427"}', "upload_unknown", "7"),
        ('{"type":"auth","id":"7"}', "already_authenticated", "7"),
        ('{"type":"ping","id":"7","extra":1}', "invalid_command", "7"),
        (called('{"a":' + "[" * 20 + "]" * 20 + "}"), "frame_too_deep", "7"),
        (called("[" * 400_000), "frame_too_deep", None),
        (called('{"a":' * 60_000 + "1" + "}" * 60_000), "frame_too_deep", None),
        (called(json.dumps({str(number): 1 for number in range(60_000)})), "frame_too_wide", "7"),
        (called('{"a":NaN}'), "malformed_json", "7"),
        (called('{"a":-Infinity}'), "malformed_json", "7"),
        (called('{"a":1e999}'), "invalid_command", "7"),
        (called('{"a":' + "9" * 5000 + "}"), "number_too_long", None),
        (called('{"a":"\\ud800"}'), "malformed_json", None),
        (called('{"\\udc00":1}'), "malformed_json", None),
        ('{"type":"turn.cancel","id":"7","turn_id":"t","seen_chars":' + "9" * 30 + "}", "invalid_command", "7"),
        ("\x00" * 1000, "malformed_json", None),
    ],
)
async def test_a_bad_command_gets_its_error(server: Server, text: str, code: str, command_id: str | None) -> None:
    async with Raw(server.socket_url) as client:
        await client.socket.send(text)
        answer = await client.receive()
        assert (answer["type"], answer["code"], answer.get("command_id")) == ("error", code, command_id)
        assert (await client.command("ping"))["type"] == "pong"


async def test_image_frames_in_the_wrong_order(server: Server) -> None:
    picture = pictures.jpeg()
    digest = hashlib.sha256(picture).hexdigest()
    async with Raw(server.socket_url) as client:
        upload_id = uuid.uuid4()
        await client.socket.send(Chunk.pack(upload_id, 0, picture))
        assert (await client.receive())["code"] == "upload_unknown"
        begin = {"upload_id": str(upload_id), "sha256": digest, "bytes": len(picture), "mime": "image/jpeg"}
        assert (await client.command("image.begin", **begin))["offset"] == 0
        assert (await client.command("image.begin", **begin))["offset"] == 0
        other = {**begin, "sha256": "0" * 64}
        assert (await client.command("image.begin", **other))["code"] == "upload_exists"
        await client.socket.send(Chunk.pack(upload_id, 5, picture[5:]))
        assert (await client.receive())["code"] == "upload_out_of_order"
        assert (await client.command("image.end", upload_id=str(upload_id)))["code"] == "upload_out_of_order"
        assert (await client.command("image.begin", **begin))["offset"] == 0
        assert (await client.command("image.end", upload_id=str(upload_id)))["code"] == "upload_incomplete"
        wrong = {**begin, "sha256": "0" * 64}
        assert (await client.command("image.begin", **wrong))["offset"] == 0
        await client.socket.send(Chunk.pack(upload_id, 0, picture))
        assert (await client.command("image.end", upload_id=str(upload_id)))["code"] == "image_hash_mismatch"
        assert (await send(client, picture))["type"] == "ack"


async def test_nothing_goes_before_auth(server: Server) -> None:
    async with Raw(server.socket_url, authenticate=False) as client:
        assert (await client.command("session.open"))["code"] == "auth_required"
        refused = await client.command("auth", token="no-such-key")
        assert refused["code"] == "auth_invalid"
        with pytest.raises(ConnectionClosed) as closed:
            await client.receive()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008


async def test_pages_of_other_origins_are_kept_out(server: Server) -> None:
    # websockets sends a Host of its own, so that the last of these has two.
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}):
        with pytest.raises(InvalidStatus) as refused:
            await connect(server.socket_url, additional_headers=headers, subprotocols=[SUBPROTOCOL])
        assert refused.value.response.status_code in (403, 421)
    own = Origin(f"http://127.0.0.1:{server.port}")
    async with connect(server.socket_url, origin=own, subprotocols=[SUBPROTOCOL]) as socket:
        assert json.loads(await socket.recv())["type"] == "hello"


async def test_a_client_that_does_not_read_is_let_go_and_others_are_served(server: Server) -> None:
    async with Raw(server.socket_url) as mute, Raw(server.socket_url) as other:
        session = (await mute.command("session.open"))["session_id"]
        mute.socket.transport.pause_reading()
        for number in range(5):
            await mute.socket.send(
                json.dumps(
                    {
                        "type": "turn.submit",
                        "id": f"n{number}",
                        "session_id": session,
                        "client_message_id": f"c-{number}",
                        "text": "hello",
                    }
                )
            )
        session = (await other.command("session.open"))["session_id"]
        await other.command("turn.submit", session_id=session, client_message_id="c-1", text="hello")
        async with asyncio.timeout(20):
            assert (await other.until("turn.finished"))["status"] == "completed"
        mute.socket.transport.resume_reading()
