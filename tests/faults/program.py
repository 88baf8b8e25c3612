"""The ``assistant`` command for fault campaigns: with other leases, or with a promise taken away.

    python -m tests.faults.program MUTANT LEASE_SECONDS COMMAND...

A mutant is what the checker must catch; ``none`` is the product. LEASE_SECONDS of 0 leaves the product's.
"""

import asyncio
import hashlib
import sys
from collections.abc import Callable

from redis.asyncio import Redis

from assistant import cli
from assistant.stores.connection import Script
from assistant.stores.jobs import Jobs
from assistant.stores.queue import RedisQueue

COMMIT_SECONDS = 0.3


def no_idempotency() -> None:
    """A message that is sent again is another message."""
    _change("if before then", "if false then")


def no_fence() -> None:
    """A worker that has lost its turn may write on."""
    _change("return state[1] == fence and state[2] == 'running' and state[3] == server_run()", "return true")


def ack_before_commit() -> None:
    """A message is acknowledged and then kept."""
    run = Script.run
    later: set[asyncio.Task[None]] = set()

    async def commit(script: Script, client: Redis, keys: list[str], arguments: list[str | int]) -> None:
        await asyncio.sleep(COMMIT_SECONDS)
        answer = await run(script, client, keys, arguments)
        if answer[-1]:
            await Jobs(client).put(str(arguments[5]), answer[-1])

    async def acknowledge(script: Script, client: Redis, keys: list[str], arguments: list[str | int]) -> list[str]:
        if "-- Accept a turn" not in script.source:
            return await run(script, client, keys, arguments)
        later.add(asyncio.create_task(commit(script, client, keys, arguments)))
        return ["accepted", str(arguments[3]), str(arguments[4]), ""]

    Script.run = acknowledge  # type: ignore[method-assign,assignment]


MUTANTS: dict[str, Callable[[], None]] = {
    "none": lambda: None,
    "no-idempotency": no_idempotency,
    "no-fence": no_fence,
    "ack-before-commit": ack_before_commit,
}


def _change(before: str, after: str) -> None:
    """Change the text of the scripts that have it."""
    named = Script.named

    def changed(name: str, shared: str = "log") -> Script:
        source = named(name, shared).source.replace(before, after)
        return Script(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())

    if before not in named("submit").source:
        raise RuntimeError(f"no script has {before!r}: the mutant is the product")
    Script.named = staticmethod(changed)  # type: ignore[method-assign]


def main() -> None:
    mutant, lease, *command = sys.argv[1:]
    MUTANTS[mutant]()
    if float(lease):
        defaults = RedisQueue.__init__.__kwdefaults__
        assert defaults is not None
        assert "lease_seconds" in defaults
        defaults["lease_seconds"] = float(lease)
    sys.argv = ["assistant", *command]
    cli.main()


if __name__ == "__main__":
    main()
