"""A worker that was stopped past its lease and goes on writes nothing more; without the fence, the checker sees it."""

from collections import Counter
from pathlib import Path

import pytest

from tests.faults.checker import check
from tests.faults.paused import run
from tests.faults.system import System

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


async def test_a_late_worker_writes_nothing(tmp_path: Path) -> None:
    async with System(tmp_path, lease_seconds=1.0, delay_ms=100, workers=2) as system:
        history = await run(system, turns=2)
    verdict = check(history)
    assert verdict.problems == []
    assert verdict.faults == Counter(pause=2)
    assert verdict.acked == 3


async def test_without_the_fence_a_late_worker_is_seen(tmp_path: Path) -> None:
    async with System(tmp_path, lease_seconds=1.0, delay_ms=100, workers=2, mutant="no-fence") as system:
        verdict = check(await run(system, turns=1))
    assert verdict.problems
