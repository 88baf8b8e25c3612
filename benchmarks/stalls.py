"""How late the event loop of ``assistant serve`` is while 8 clients get answers with pictures.

    python -m benchmarks.engine --only stalls

The loop is the benchmark's own: ``serve`` runs in it, with its worker in another process, as always, and the clients
in a third (this file as a program). What the machine itself does to a loop is measured before: with nothing running,
and beside processes that do nothing but keep its cores busy, of the priority that the engine's threads have.
"""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image, ImageDraw

from assistant import run
from assistant.client import Client
from assistant.engines.vlbm import NICENESS
from assistant.settings import Settings

CLIENTS = 8
CLIENTS_NICENESS = 10
TOKENS = 64
ALONE_SECONDS = 10.0
LATE_MS = 5.0
QUANTILES = {"median": 0.5, "p99": 0.99, "worst": 1.0}
WARM = b"warm\n"
"""What the clients say when all that is only done once has been done."""


def measure(runs: int) -> list[str]:
    """The lines of the report; each client asks ``runs`` times, with a new picture each."""
    return [
        f"| | {' | '.join(f'{name}, ms' for name in QUANTILES)} | over {LATE_MS:.0f} ms | ticks |",
        f"|---|{'---|' * len(QUANTILES)}---|---|",
        _row("nothing runs", asyncio.run(_alone(0))),
        _row("all cores are busy", asyncio.run(_alone(os.cpu_count() or 1))),
        _row(f"{CLIENTS} answers with a picture", asyncio.run(_beside(runs))),
        "",
        "How much later than asked for a sleep of a millisecond ends, in the process of the gateway.",
    ]


def _row(name: str, gaps: list[float]) -> str:
    gaps = sorted(gaps)
    cells = [f"{gaps[int(share * (len(gaps) - 1))]:.1f}" for share in QUANTILES.values()]
    over = 100 * sum(gap > LATE_MS for gap in gaps) / len(gaps)
    return f"| {name} | {' | '.join(cells)} | {over:.2f} % | {len(gaps)} |"


async def _alone(busy: int) -> list[float]:
    """Ticks beside so many processes that are busy."""
    spin = f"import os\nos.nice({NICENESS})\nwhile True: pass"
    others = [await asyncio.create_subprocess_exec(sys.executable, "-c", spin) for _ in range(busy)]
    try:
        await asyncio.sleep(1)
        async with _ticking() as gaps:
            await asyncio.sleep(ALONE_SECONDS)
        return gaps
    finally:
        for other in others:
            other.kill()
            await other.wait()


async def _beside(runs: int) -> list[float]:
    with TemporaryDirectory() as folder:
        async with _serving(Settings(port=0, data=Path(folder))) as url:
            clients = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "benchmarks.stalls", url, str(runs)), stdout=asyncio.subprocess.PIPE
            )
            assert clients.stdout is not None
            assert await clients.stdout.readline() == WARM
            async with _ticking() as gaps:
                assert await clients.wait() == 0
            return gaps


@contextlib.asynccontextmanager
async def _serving(settings: Settings) -> AsyncIterator[str]:
    """``assistant serve`` in this process; the value is the URL of its websocket."""
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def say(text: str) -> None:
        if text.startswith("http"):
            address.set_result(text.replace("http", "ws", 1) + "/v1/ws")
        else:
            print(text, file=sys.stderr)

    serving = asyncio.create_task(run.serve(settings, say))
    try:
        await asyncio.wait((serving, address), return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        yield await address
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


@contextlib.asynccontextmanager
async def _ticking() -> AsyncIterator[list[float]]:
    """How late each tick of a millisecond is, in milliseconds, while the context is open."""
    gaps: list[float] = []

    async def tick() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            gaps.append(1000 * (now - last) - 1)
            last = now

    ticking = asyncio.create_task(tick())
    yield gaps
    ticking.cancel()


async def talk(url: str, runs: int) -> None:
    """Be the clients, who elsewhere have machines of their own: one round that is not measured, then ``runs``."""
    os.nice(CLIENTS_NICENESS)
    pictures = [[drawn(CLIENTS * number + client) for number in range(runs + 1)] for client in range(CLIENTS)]
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(Client(url)) for _ in range(CLIENTS)]
        await asyncio.gather(*(_ask(client, shown[:1]) for client, shown in zip(clients, pictures, strict=True)))
        sys.stdout.buffer.write(WARM)
        sys.stdout.flush()
        await asyncio.gather(*(_ask(client, shown[1:]) for client, shown in zip(clients, pictures, strict=True)))


async def _ask(client: Client, pictures: list[bytes]) -> None:
    for picture in pictures:
        session = await client.open()
        image = await client.upload(picture)
        async for _ in session.ask("Tell me about it.", images=[image], max_tokens=TOKENS):
            pass


def drawn(number: int) -> bytes:
    """A picture of 640 x 480, as PNG; another number, another picture."""
    picture = Image.linear_gradient("L").resize((640, 480)).convert("RGB")
    ImageDraw.Draw(picture).ellipse((60, 40, 400, 380), fill=(number * 40 % 256, number * 90 % 256, 90))
    stream = BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


if __name__ == "__main__":
    asyncio.run(talk(sys.argv[1], int(sys.argv[2])))
