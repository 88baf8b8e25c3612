"""The service as real processes that can be killed: Redis, a gateway, workers."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from tests.servers import Kind, RedisServer, free_port

READY = {"gateway": "http://", "worker": "worker ready"}
START_SECONDS = 60.0


class System:
    """Use as an asynchronous context manager; all of it runs inside.

    Args:
        folder: of Redis, and of what processes say when they fail.
        mutant: one of ``program.MUTANTS``.
        lease_seconds: of turns; 0 is the product's.
        delay_ms: between the words of an answer.
        workers: how many.
    """

    def __init__(
        self,
        folder: Path,
        *,
        mutant: str = "none",
        lease_seconds: float = 0.0,
        delay_ms: float = 5.0,
        workers: int = 1,
        redis: Kind = "debian",
    ) -> None:
        self._log = (folder / "processes.log").open("ab")
        self.redis = RedisServer(folder, redis)
        self._port = free_port()
        self.url = f"ws://127.0.0.1:{self._port}/v1/ws"
        program = [sys.executable, "-m", "tests.faults.program", mutant, str(lease_seconds)]
        shared = ["--redis-url", self.redis.url]
        self._commands = {"gateway": [*program, "gateway", *shared, "--port", str(self._port)]}
        for number in range(workers):
            scripted = ["--engine", "scripted", "--scripted-delay-ms", str(delay_ms)]
            self._commands[f"worker {number}"] = [*program, "worker", *shared, *scripted]
        self._processes: dict[str, asyncio.subprocess.Process] = {}

    @property
    def workers(self) -> list[str]:
        """Names of the workers."""
        return [name for name in self._commands if name != "gateway"]

    async def __aenter__(self) -> "System":
        try:
            await self.start()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in self._processes.values():
            if process.returncode is None:
                process.kill()
                await process.wait()
        self.redis.stop()
        self._log.close()

    async def start(self) -> None:
        """Start whatever does not run, and wait until it is ready."""
        if self.redis.process is None or not self.redis.process.is_running():
            await asyncio.to_thread(self.redis.start)
        gone = [name for name in self._commands if not self._runs(name)]
        await asyncio.gather(*(self._start(name) for name in gone))

    async def kill(self, kind: str) -> None:
        """``kill -9``: the gateway, a worker, Redis, or all of them at once."""
        names = {"all": [*self._commands], "redis": [], "worker": self.workers}.get(kind, [kind])
        if kind in ("redis", "all") and self.redis.process is not None:
            self.redis.process.kill()
        for name in names:
            self._processes[name].kill()
        for name in names:
            await self._processes[name].wait()
        if kind in ("redis", "all") and self.redis.process is not None:
            await asyncio.to_thread(self.redis.process.wait)

    def pause(self, pid: int) -> None:
        """Stop a worker where it is, as a machine that swaps does."""
        self._worker(pid).send_signal(signal.SIGSTOP)

    def resume(self, pid: int) -> None:
        """Let it go on."""
        self._worker(pid).send_signal(signal.SIGCONT)

    def _worker(self, pid: int) -> asyncio.subprocess.Process:
        return next(self._processes[name] for name in self.workers if self._processes[name].pid == pid)

    def _runs(self, name: str) -> bool:
        return name in self._processes and self._processes[name].returncode is None

    async def _start(self, name: str) -> None:
        process = await asyncio.create_subprocess_exec(
            *self._commands[name],
            stdout=asyncio.subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, "ASSISTANT_LOG_LEVEL": "error"},
        )
        self._processes[name] = process
        assert process.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            while line := await process.stdout.readline():
                if READY[name.split(maxsplit=1)[0]] in line.decode():
                    return
        raise RuntimeError(f"{name} did not start")
