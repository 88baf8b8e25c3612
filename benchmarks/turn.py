"""Time of a turn through the websocket, and the share of it that is not the model's.

    python benchmarks/turn.py [--engine vlbm|scripted] [--runs 9] [--image FILE]

Starts ``assistant serve`` with a private data folder, plays turns with one client, and prints medians:

* first token: from sending ``turn.submit`` to the first ``turn.delta`` in hand; the engine's own share is
  ``usage.engine_first_token_ms``, counted in its thread from the request to the first token; the rest is gateway,
  Redis and queue;
* a delta: from the worker having its tokens (the event's ``at``) to the client having it. Part of that is any
  websocket's: the bare one is a frame of that size from a server that does nothing else, in the same run.
"""

import argparse
import asyncio
import contextlib
import io
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from PIL import Image
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve

from assistant.client import Client
from assistant.gateway.wire.frame import SUBPROTOCOL

TOKENS = 32
BARE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Turn:
    """One measured turn, in milliseconds."""

    first_token: float
    whole: float
    engine_first_token: float
    engine_whole: float
    deltas: tuple[float, ...]


async def play(socket: ClientConnection, session_id: str, number: str, text: str, images: list[str]) -> Turn:
    """Submit a turn and clock it."""
    command = {
        "type": "turn.submit",
        "id": number,
        "session_id": session_id,
        "client_message_id": number.replace(" ", "-"),
        "text": text,
        "images": images,
        "options": {"max_tokens": TOKENS},
    }
    frame = json.dumps(command)
    start = time.perf_counter()
    await socket.send(frame)
    first, deltas = 0.0, []
    while True:
        received = await socket.recv()
        now, wall = time.perf_counter(), time.time()
        event = json.loads(received)
        if event["type"] == "turn.delta":
            first = first or (now - start) * 1000
            deltas.append((wall - datetime.fromisoformat(event["at"]).timestamp()) * 1000)
        elif event["type"] == "error":
            raise SystemExit(f"the turn was refused: {event['message']}")
        elif event["type"] == "turn.finished":
            usage = event["usage"]
            return Turn(first, (now - start) * 1000, usage["engine_first_token_ms"], usage["engine_ms"], tuple(deltas))


async def measure(url: str, runs: int, picture: bytes) -> dict[str, list[Turn]]:
    """Text turns, and turns with a picture whose features are not yet known, in turn; each in a session of its own."""
    turns: dict[str, list[Turn]] = {"text turn": [], "image turn": []}
    async with Client(url) as client:
        for run in range(runs + 1):
            image = await client.upload(_variant(picture, run))
            for name, images, text in (
                ("text turn", [], "Name three colours."),
                ("image turn", [image], "What is this?"),
            ):
                async with connect(url, subprotocols=[SUBPROTOCOL], compression=None, max_size=None) as socket:
                    turn = await play(socket, await _open_session(socket), f"{run} {name[:4]}", text, images)
                if run:  # the first of each warms up
                    turns[name].append(turn)
    return turns


async def _open_session(socket: ClientConnection) -> str:
    """Authenticate and open a new session; its id."""
    await socket.recv()  # hello
    for command in ({"type": "auth", "id": "a", "token": None}, {"type": "session.open", "id": "o"}):
        await socket.send(json.dumps(command))
        answer = json.loads(await socket.recv())
    return str(answer["session_id"])


def _variant(picture: bytes, number: int) -> bytes:
    """The picture with one pixel changed: another hash, so that its features are computed again."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image.putpixel((0, 0), (number % 256, number // 256, 0))
    encoded = io.BytesIO()
    image.save(encoded, "PNG")
    return encoded.getvalue()


async def serve_bare() -> None:
    """A websocket server that only sends: a frame of a delta's size with the time, every ``BARE_SECONDS``."""

    async def send(socket: ServerConnection) -> None:
        for _ in range(TOKENS * 2):
            await asyncio.sleep(BARE_SECONDS)
            await socket.send(json.dumps({"at": time.time(), "text": "x" * 200}))

    async with serve(send, "127.0.0.1", 0, compression=None) as server:
        print(f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}", flush=True)
        await server.serve_forever()


async def measure_bare(url: str) -> list[float]:
    """What a frame takes, in milliseconds, when nothing but a websocket is in its way."""
    async with connect(url, compression=None) as socket:
        return [(time.time() - json.loads(frame)["at"]) * 1000 async for frame in socket]


def report(turns: dict[str, list[Turn]], bare: list[float]) -> None:
    """Print medians."""
    print(f"{'':12}{'first token':>13}{'engine':>10}{'rest':>8}{'whole':>10}{'engine':>10}{'rest':>8}{'a delta':>10}")
    for name, played in turns.items():

        def median(values: list[float]) -> str:
            return f"{statistics.median(values):.2f}"

        print(
            f"{name:12}"
            f"{median([turn.first_token for turn in played]):>13}"
            f"{median([turn.engine_first_token for turn in played]):>10}"
            f"{median([turn.first_token - turn.engine_first_token for turn in played]):>8}"
            f"{median([turn.whole for turn in played]):>10}"
            f"{median([turn.engine_whole for turn in played]):>10}"
            f"{median([turn.whole - turn.engine_whole for turn in played]):>8}"
            f"{median([delta for turn in played for delta in turn.deltas]):>10}"
        )
    print(f"bare websocket, a frame: {statistics.median(bare):.2f}")
    print("milliseconds, medians; 'rest' is not the model's")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=("vlbm", "scripted"), default="vlbm")
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--image", type=Path)
    parser.add_argument("--bare", action="store_true", help="only serve the bare websocket")
    asked = parser.parse_args()
    if asked.bare:
        asyncio.run(serve_bare())
        return
    picture = asked.image.read_bytes() if asked.image else _gradient()
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"engine {asked.engine}, {asked.runs} runs, at most {TOKENS} tokens an answer")
    program = str(Path(sys.executable).parent / "assistant")
    with tempfile.TemporaryDirectory() as data:
        with running(program, "serve", "--port", "0", "--data", data, "--engine", asked.engine) as url:
            turns = asyncio.run(measure(f"{url}/v1/ws", asked.runs, picture))
        with running(sys.executable, __file__, "--bare") as url:
            report(turns, asyncio.run(measure_bare(url)))


@contextlib.contextmanager
def running(*command: str) -> Iterator[str]:
    """A server as a process; the value is its websocket address, without a path."""
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = next((found[0] for line in server.stdout if (found := re.search(r"http://\S+", line))), None)
        if address is None:
            raise SystemExit(f"{command} did not start")
        yield address.replace("http", "ws", 1)
    finally:
        server.terminate()
        server.communicate()


def _gradient() -> bytes:
    encoded = io.BytesIO()
    Image.radial_gradient("L").resize((640, 480)).save(encoded, "PNG")
    return encoded.getvalue()


if __name__ == "__main__":
    main()
