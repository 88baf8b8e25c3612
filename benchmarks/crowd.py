"""What many and slow clients cost a gateway: memory of idle connections, delay beside clients that do not read, a storm
of reconnects, and what the gateway adds to each delta.

    make crowd [ARGS="--idle 500 --hold 5 --slow 20 --reconnects 200 --streams 20"]

Starts a private Redis, ``assistant gateway`` and ``assistant worker`` with the scripted engine, each a process of its
own, plays the clients in this process, and writes ``benchmarks/crowd.md``. Linux: memory is read from ``/proc``.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import re
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from assistant.domain.access import ANONYMOUS
from assistant.gateway.peer import SEND_SECONDS
from assistant.gateway.wire import SUBPROTOCOL
from assistant.stores import keys
from assistant.stores.embedded import EmbeddedRedis

KIB, MIB = 1024, 1024 * 1024
GRACE_SECONDS = 10.0
"""After the time that a slow client has."""
AT_ONCE = 200
"""Connections that are opened at the same time where no storm is meant."""
ADDRESSES = 8
"""Loopback addresses that connections come from, so that ports do not run out."""
LONG_TEXT = "word " * 9600
LONG_SESSIONS, LONG_MESSAGES, ROUNDS = 4, 8, 2
"""Asked for so often, together 3 MB: more than the system takes for a socket that is not read."""
NO_LIMITS = [
    f"--{name}=0"
    for name in (
        "turns-per-minute",
        "turns-at-once",
        "tokens-per-hour",
        "sockets-per-address",
        "unknown-per-address",
    )
] + ["--sockets-per-owner=1000000"]


@dataclass(frozen=True, slots=True)
class House:
    """A gateway, a worker and a Redis that run."""

    url: str
    redis_url: str
    gateway: int
    """Its process id."""

    def memory(self) -> int:
        """Bytes of the gateway that are its own."""
        status = Path(f"/proc/{self.gateway}/status").read_text(encoding="utf-8")
        return next(int(line.split()[1]) * KIB for line in status.splitlines() if line.startswith("RssAnon:"))

    async def sockets(self) -> int:
        """Authenticated connections that the gateway holds, by its lease."""
        async with Redis.from_url(self.redis_url, decode_responses=True) as redis:
            leases = await redis.hvals(keys.sockets(ANONYMOUS))
        return sum(int(str(lease).split()[0]) for lease in leases)


@contextlib.asynccontextmanager
async def running(delay_ms: float, *limits: str) -> AsyncIterator[House]:
    """The three processes; ``limits`` are options of the gateway."""
    program = str(Path(sys.executable).parent / "assistant")
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        async with EmbeddedRedis(Path(folder)) as redis:
            shared = ["--redis-url", redis.url]
            worker = [program, "worker", *shared, "--engine", "scripted", "--scripted-delay-ms", str(delay_ms)]
            await asyncio.to_thread(stack.enter_context, _process(worker, "worker ready"))
            command = [program, "gateway", *shared, "--port", "0", *limits]
            process, line = await asyncio.to_thread(stack.enter_context, _process(command, r"http://\S+"))
            yield House(f"{line.replace('http', 'ws', 1)}/v1/ws", redis.url, process.pid)
            await asyncio.to_thread(stack.close)


@contextlib.contextmanager
def _process(command: list[str], ready: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = next((found[0] for line in process.stdout if (found := re.search(ready, line))), None)
        if line is None:
            raise SystemExit(f"{command} did not start")
        yield process, line
    finally:
        process.terminate()
        process.communicate()


# --- Clients --------------------------------------------------------------------------------------------------------


async def enter(house: House, number: int = 0, **options: Any) -> ClientConnection:
    """Connect from one of the addresses and authenticate."""
    local = ("127.0.0." + str(1 + number % ADDRESSES), 0)
    if "sock" not in options:
        options["local_addr"] = local
    opened = await connect(
        house.url, subprotocols=[SUBPROTOCOL], compression=None, ping_interval=None, open_timeout=60, **options
    )
    await opened.recv()
    answer = await command(opened, "auth")
    if answer["type"] == "error":
        await opened.close()
        raise Refused(answer["code"])
    return opened


class Refused(Exception):
    """The server said no, and said so."""


async def command(client: ClientConnection, kind: str, **fields: Any) -> dict[str, Any]:
    """Send a command and read up to its answer."""
    await client.send(json.dumps({"type": kind, "id": "c", **fields}))
    while True:
        frame: dict[str, Any] = json.loads(await client.recv())
        if "c" in (frame.get("id"), frame.get("command_id")):
            return frame


async def submit(client: ClientConnection, session: str, number: int, text: str, **options: Any) -> dict[str, Any]:
    """Send a message."""
    named = {"session_id": session, "client_message_id": f"c-{number}", "text": text}
    return await command(client, "turn.submit", **named, options=options)


async def leave(clients: list[ClientConnection]) -> None:
    """Drop connections; a closing handshake each would take longer than what is measured."""
    for client in clients:
        client.transport.abort()
    await asyncio.gather(*(client.wait_closed() for client in clients))


# --- Measures -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Idle:
    """Connections that do nothing."""

    count: int
    each: float
    """Bytes of the gateway for each."""
    growth: float
    """Bytes by which each grew while they were held."""
    seconds: float


async def idle(house: House, count: int, hold: float) -> Idle:
    """Open connections, each with a session, and hold them."""
    await leave([await _settled(house, number) for number in range(20)])  # what the first ones load stays
    before = house.memory()
    clients: list[ClientConnection] = []
    for start in range(0, count, AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, count))
        clients += await asyncio.gather(*(_settled(house, number) for number in numbers))
    await asyncio.sleep(1.0)
    opened = house.memory()
    await asyncio.sleep(hold)
    held = house.memory()
    answer = await command(clients[-1], "ping")
    assert answer["type"] == "pong"
    assert all(client.close_code is None for client in clients), "connections were lost"
    await leave(clients)
    return Idle(count, (opened - before) / count, (held - opened) / count, hold)


async def _settled(house: House, number: int) -> ClientConnection:
    client = await enter(house, number)
    await command(client, "session.open")
    return client


@dataclass(slots=True)
class Slow:
    """Clients that read beside clients that do not."""

    count: int
    alone: float
    """99th percentile of a delta's delay without slow clients, in seconds."""
    beside: float
    """The same while there are slow ones."""
    memory: int
    """Bytes by which the gateway grew at most."""
    gone: int
    """Slow clients that had been let go when their time was over."""


async def slow(
    house: House, count: int, normal: int, seconds: float, patience: float = SEND_SECONDS + GRACE_SECONDS
) -> Slow:
    """Time deltas of normal clients, first alone, then beside clients that take nothing of what they asked for.

    Args:
        patience: seconds after which those that have not been let go are counted as kept.
    """
    sessions = await _long_conversations(house)
    alone = await _normal(house, normal, seconds)
    before, most = house.memory(), 0
    mute = await asyncio.gather(*(_mute(house, number) for number in range(count)))
    held = await house.sockets()

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, house.memory() - before)
            await asyncio.sleep(0.1)

    watching = asyncio.create_task(watch())
    asked = time.monotonic()
    for client in mute:
        client.transport.pause_reading()
    asking = asyncio.gather(*(_ask_for_much(client, sessions) for client in mute))
    beside = await _normal(house, normal, seconds)
    await asking
    while True:
        gone = held - await house.sockets()
        if gone >= count or time.monotonic() > asked + patience:
            break
        await asyncio.sleep(0.1)
    watching.cancel()
    await leave([*mute])
    return Slow(count, percentile(alone, 99), percentile(beside, 99), most, gone)


async def _ask_for_much(client: ClientConnection, sessions: list[str]) -> None:
    """Have long conversations sent again and again, and read none of them."""
    with contextlib.suppress(ConnectionClosed, OSError):
        for _ in range(ROUNDS):
            for session in sessions:
                await client.send(json.dumps({"type": "session.open", "id": "more", "session_id": session}))
            await asyncio.sleep(0.5)


async def _long_conversations(house: House) -> list[str]:
    """Sessions of which each client that does not read asks for all."""

    async def fill(number: int) -> str:
        client = await enter(house, number, max_size=None)
        session = str((await command(client, "session.open"))["session_id"])
        for message in range(LONG_MESSAGES):
            assert (await submit(client, session, message, LONG_TEXT))["type"] == "ack"
            while json.loads(await client.recv())["type"] != "turn.finished":
                pass
        await leave([client])
        return session

    return await asyncio.gather(*(fill(number) for number in range(LONG_SESSIONS)))


async def _mute(house: House, number: int) -> ClientConnection:
    """A client with a small window."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.setblocking(False)
    host, port = house.url.split("/")[2].rsplit(":", 1)
    await asyncio.get_running_loop().sock_connect(plain, (host, int(port)))
    return await enter(house, number, sock=plain, max_size=None)


async def _normal(house: House, count: int, seconds: float) -> list[float]:
    """Delays of all deltas of so many clients that ask one thing after another, in seconds."""
    delays: list[float] = []
    until = time.monotonic() + seconds

    async def play(number: int) -> None:
        client = await enter(house, number)
        session = str((await command(client, "session.open"))["session_id"])
        turn = 0
        while time.monotonic() < until:
            turn += 1
            assert (await submit(client, session, turn, f"hello {number} {turn}"))["type"] == "ack"
            while (event := json.loads(await client.recv()))["type"] != "turn.finished":
                if event["type"] == "turn.delta":
                    delays.append(time.time() - datetime.fromisoformat(event["at"]).timestamp())
        await leave([client])

    await asyncio.gather(*(play(number) for number in range(count)))
    return delays


@dataclass(slots=True)
class Storm:
    """Everybody comes back at once."""

    count: int
    seconds: float
    """Until the last had its answer."""
    outcomes: Counter[str] = field(default_factory=Counter)
    """served, refused, lost."""


async def storm(house: House, count: int) -> Storm:
    """Connect within a second, each to a session of its own from before."""
    first = await enter(house)
    sessions = [str((await command(first, "session.open"))["session_id"]) for _ in range(30)]
    await leave([first])
    result = Storm(count, 0.0)
    clients: list[ClientConnection] = []
    start = time.monotonic()

    async def come_back(number: int) -> None:
        await asyncio.sleep(number / count)
        try:
            async with asyncio.timeout(120):
                client = await enter(house, number)
                clients.append(client)
                answer = await command(client, "session.open", session_id=sessions[number % len(sessions)])
            served = answer["type"] == "ack"
            result.outcomes["served" if served else "refused"] += 1
        except (InvalidStatus, Refused):
            result.outcomes["refused"] += 1
        except (OSError, ConnectionClosed, TimeoutError):
            result.outcomes["lost"] += 1

    await asyncio.gather(*(come_back(number) for number in range(count)))
    result.seconds = time.monotonic() - start
    await leave(clients)
    return result


@dataclass(slots=True)
class Streams:
    """Answers that stream at the same time."""

    count: int
    deltas: int
    redis: tuple[float, float]
    """From the worker to a subscriber of Redis, median and 99th percentile, in seconds."""
    added: tuple[float, float]
    """What came later by the gateway than to that subscriber, the same."""


async def streams(house: House, count: int, seconds: float) -> Streams:
    """Play answers on so many connections, beside a subscriber that takes the same deltas from Redis itself."""
    clients, sessions = [], []
    for number in range(count):
        client = await enter(house, number)
        clients.append(client)
        sessions.append(str((await command(client, "session.open"))["session_id"]))
    redis = Redis.from_url(house.redis_url, decode_responses=True)
    pubsub = redis.pubsub()
    await pubsub.subscribe(*map(keys.bell, sessions))
    told: dict[tuple[str, int], float] = {}
    waits: list[float] = []
    received: dict[tuple[str, int], float] = {}
    until = time.monotonic() + seconds

    async def subscribe() -> None:
        async for message in pubsub.listen():
            now = time.time()
            if message["type"] == "message" and '"turn.delta"' in message["data"]:
                event = json.loads(message["data"].partition(" ")[2])
                told[event["session_id"], event["seq"]] = now
                waits.append(now - datetime.fromisoformat(event["at"]).timestamp())

    async def play(number: int) -> None:
        client, session, turn = clients[number], sessions[number], 0
        await asyncio.sleep(number / count)
        while time.monotonic() < until:
            turn += 1
            assert (await submit(client, session, turn, f"hello {number} {turn}"))["type"] == "ack"
            while True:
                text = await client.recv()
                now = time.time()
                event = json.loads(text)
                if event["type"] == "turn.delta":
                    received[session, event["seq"]] = now
                elif event["type"] == "turn.finished":
                    break

    listening = asyncio.create_task(subscribe())
    await asyncio.gather(*(play(number) for number in range(count)))
    await asyncio.sleep(0.5)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await pubsub.aclose()  # type: ignore[no-untyped-call]
    await redis.aclose()
    await leave(clients)
    added = [received[place] - told[place] for place in received.keys() & told.keys()]
    return Streams(count, len(added), _both(waits), _both(added))


def _both(values: list[float]) -> tuple[float, float]:
    return percentile(values, 50), percentile(values, 99)


def percentile(values: list[float], share: float) -> float:
    """The smallest value that so many percent are not above."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share / 100), len(ordered) - 1)]


# --- The table ------------------------------------------------------------------------------------------------------


def raise_open_files() -> int:
    """Let this process and those that it starts open as many files as they may; how many that is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def table(asked: argparse.Namespace, i: Idle, s: Slow, r: Storm, t: Streams) -> str:
    """All of it in Markdown."""
    words = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in vars(asked).items() if name != "out")
    rows = [
        (f"memory of an idle connection, of {i.count:,}", f"{i.each / KIB:.1f} KiB", "20 KiB"),
        (f"its growth in {i.seconds:.0f} s", f"{i.growth / KIB:.2f} KiB", "none"),
        (
            f"p99 of a delta, {asked.normal} clients beside {s.count} that do not read",
            f"{s.beside * 1000:.1f} ms, alone {s.alone * 1000:.1f} ms: {s.beside / s.alone:.2f} times",
            "1.2 times",
        ),
        ("memory for those that do not read", f"{s.memory / MIB:.0f} MiB", "50 MB"),
        (f"of them let go within {SEND_SECONDS + GRACE_SECONDS:.0f} s", f"{s.gone} of {s.count}", "all"),
        (
            f"{r.count:,} reconnects in a second",
            f"{r.outcomes['served']} served, {r.outcomes['refused']} refused, {r.outcomes['lost']} lost "
            f"in {r.seconds:.1f} s",
            "none lost",
        ),
        (
            f"the gateway adds to a delta, {t.count} streams of 10 tokens a second, {t.deltas:,} deltas",
            f"median {t.added[0] * 1000:.2f} ms, p99 {t.added[1] * 1000:.2f} ms",
            "p99 2 ms",
        ),
        (
            "from the worker to a subscriber of Redis, in the same run",
            f"median {t.redis[0] * 1000:.2f} ms, p99 {t.redis[1] * 1000:.2f} ms",
            "",
        ),
    ]
    lines = [f"| {name} | {found} | {wanted} |" for name, found, wanted in rows]
    return "\n".join(
        [
            "# Many and slow clients",
            "",
            f'`make crowd ARGS="{words}"`:',
            "gateway, worker (scripted engine) and Redis in processes of their own, clients in one more,",
            f"on {os.cpu_count()} cores ({platform.machine()}, Python {platform.python_version()}).",
            "",
            "| | measured | wanted |",
            "|---|---|---|",
            *lines,
            "",
        ]
    )


async def measure(asked: argparse.Namespace) -> str:
    """Everything, one thing after another."""
    async with running(20.0, *NO_LIMITS) as house:
        print("idle connections", flush=True)
        idles = await idle(house, asked.idle, asked.hold)
    async with running(5.0, *NO_LIMITS) as house:
        print("clients that do not read", flush=True)
        slows = await slow(house, asked.slow, asked.normal, asked.seconds)
        print("reconnects", flush=True)
        storms = await storm(house, asked.reconnects)
    async with running(100.0, *NO_LIMITS) as house:
        print("streams", flush=True)
        return table(asked, idles, slows, storms, await streams(house, asked.streams, asked.seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--idle", type=int, default=10_000, help="idle connections")
    parser.add_argument("--hold", type=float, default=60.0, help="seconds for which they are held")
    parser.add_argument("--slow", type=int, default=200, help="clients that do not read")
    parser.add_argument("--normal", type=int, default=20, help="clients beside them")
    parser.add_argument("--seconds", type=float, default=20.0, help="for which deltas are timed")
    parser.add_argument("--reconnects", type=int, default=2000, help="connections in a second")
    parser.add_argument("--streams", type=int, default=200, help="answers at the same time")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("crowd.md"))
    asked = parser.parse_args()
    files = raise_open_files()
    if files < asked.idle + 500:
        raise SystemExit(
            f"{files} files may be open here, {asked.idle + 500} are needed: raise ulimit -n or lower --idle."
        )
    text = asyncio.run(measure(asked))
    asked.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
