"""Run the long campaigns and write docs/faults.md.

    python -m tests.faults.report [--kills 200]

Of each kind half the kills come alone and half mixed with the others. Ends with status 1 if a promise was broken; then
the history lies in the folder that is named.
"""

import argparse
import asyncio
import os
import platform
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from tests.faults import campaign, drops, paused
from tests.faults.campaign import KINDS, Plan
from tests.faults.checker import Verdict, check
from tests.faults.history import History
from tests.faults.system import System
from tests.servers import binary

DOCUMENT = Path(__file__).parents[2] / "docs" / "faults.md"
PAUSES = 5
DROPS = 1000
AT_ONCE = 50
HEAD = """# Faults

What is left of the promises when parts of the service are killed. Written by `make faults`; the last run: {when},
{where}.

Processes are the product's own: `assistant gateway`, `assistant worker` (the scripted engine, {delay} ms a word,
answers of 12 to 40 words) and `redis-server` with `appendonly yes` and `appendfsync always`. {clients} clients (the
Python SDK) ask one question after another, send some twice, lose their connections now and then, and come back with
their cursors. A part is ended by `kill -9` at a random moment, started again, and after {pause[0]} to {pause[1]} s
the next is killed. "All" kills gateway, worker and Redis at once. After every {round} kills the service is left
alone until all turns have ended.

A checker (`tests/faults/checker.py`, pure, with tests of its own) reads what clients sent, were told and saw, and
the logs at the end: an acknowledged message has a question, an answer and an end in the log, each once; a number
stands for one event for ever; no client missed a lasting event; the deltas that a client saw, joined, are the
message byte for byte. Three mutants (no idempotency, no fence, acknowledged before it is kept) make it fail, in
`make test`.

| killed | kills | turns | acked | lost | duplicated | with an error | worst recovery, s | slowest turn, s | problems |
|---|---|---|---|---|---|---|---|---|---|
"""
TAIL = """
*With an error*: three claims of the turn were cut off by kills, so that it ends as `failed` and says so
(`attempts_exhausted`); none is silent. *Worst recovery*: from the moment when all parts run again after the last
kill (or from the acknowledgement, if later) to the turn's end in a client's hands; 30 s are promised. A turn whose
worker died waits for its lease, 15 s. *Slowest turn*: from the acknowledgement, with all kills that came in
between, and the client's own pauses between attempts to connect.
"""


def row(name: str, verdict: Verdict) -> str:
    """A line of the table."""
    kills = sum(verdict.faults.values())
    cells = [name, kills, verdict.turns, verdict.acked, len(verdict.lost), len(verdict.duplicated), verdict.failed]
    cells += [f"{verdict.worst_recovery:.1f}", f"{verdict.slowest:.1f}", len(verdict.problems)]
    return f"| {' | '.join(map(str, cells))} |\n"


class Report:
    """Collects results, writes the document after each, and remembers whether all was well."""

    def __init__(self, folder: Path, delay: float, plan: Plan) -> None:
        self._folder = folder
        self.well = True
        when = datetime.now(UTC).date().isoformat()
        where = f"{os.cpu_count()} cores, Python {platform.python_version()}, {Path(binary('debian')).name}"
        said = {"when": when, "where": where, "delay": f"{delay:g}", "clients": campaign.CLIENTS}
        self._head = HEAD.format(**said, pause=plan.pause, round=plan.round)
        self._rows: list[str] = []
        self._more: list[str] = []

    def add(self, name: str, history: History) -> None:
        """A campaign's row."""
        verdict = check(history)
        self._rows.append(row(name, verdict))
        print(name, verdict, flush=True)
        if verdict.problems:
            self.well = False
            path = self._folder / f"{name}.jsonl"
            history.save(path)
            print(f"promises were broken: {path}", flush=True)
        self._write()

    def say(self, text: str) -> None:
        """A sentence below the table."""
        print(text, flush=True)
        self._more.append(f"- {text}\n")
        self._write()

    def _write(self) -> None:
        more = "\n## And\n\n" + "".join(self._more) if self._more else ""
        DOCUMENT.write_text(self._head + "".join(self._rows) + TAIL + more, encoding="utf-8")


async def main(kills: int) -> bool:
    """Run it all; whether all promises were kept."""
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    delay = 5.0
    report = Report(folder, delay, Plan(kills=kills))
    for seed, kinds in enumerate([*((kind,) for kind in KINDS), KINDS]):
        name = kinds[0] if len(kinds) == 1 else "any, mixed"
        home = folder / str(seed)
        home.mkdir()
        async with System(home, delay_ms=delay) as system:
            plan = Plan(kills=kills // 2, kinds=kinds, seed=seed)
            report.add(name, await campaign.run(system, plan))
    home = folder / "paused"
    home.mkdir()
    async with System(home, delay_ms=150, workers=2) as system:
        verdict = check(await paused.run(system, PAUSES))
    report.say(
        f"{verdict.faults['pause']} times a worker was stopped (SIGSTOP) in an answer until another had taken it over, "
        f"and then went on: {len(verdict.problems)} late writes were accepted."
    )
    report.well &= not verdict.problems
    home = folder / "drops"
    home.mkdir()
    async with System(home, delay_ms=20) as system:
        turns, roles = await drops.submit_at_once(system.url, AT_ONCE)
        report.say(f"{AT_ONCE} submits of one message at once: {len(turns)} turn, {roles.count('assistant')} answer.")
        began = time.monotonic()
        seen = await drops.run(system.url, DROPS)
        texts = seen.texts().values()
        equal = sum(joined.encode() == message.encode() for joined, message in texts)
        report.say(
            f"{seen.drops} connections dropped in the middle of {len(texts)} answers, each time resumed from a random "
            f"cursor: {equal} of {len(texts)} answers are byte for byte their deltas joined "
            f"({time.monotonic() - began:.0f} s)."
        )
        report.well &= len(turns) == 1 and equal == len(texts)
    return report.well


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="of each kind")
    sys.exit(0 if asyncio.run(main(parser.parse_args().kills)) else 1)
