"""Parts are killed at random points while clients talk: the checker finds no promise broken, and every mutant."""

from collections import Counter
from pathlib import Path

import pytest

from tests.faults.campaign import KINDS, Plan, run
from tests.faults.checker import check
from tests.faults.system import System

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
LEASE = 2.0
"""Seconds; short, so that a test waits less. ``make faults`` runs with the product's."""


async def test_twenty_kills_of_each_kind_break_no_promise(tmp_path: Path) -> None:
    async with System(tmp_path, lease_seconds=LEASE) as system:
        verdict = check(await run(system, Plan(kills=20)))
    print(verdict)
    assert verdict.problems == []
    assert verdict.faults == Counter(dict.fromkeys(KINDS, 20))
    assert verdict.acked > 20


@pytest.mark.parametrize(
    ("mutant", "plan"),
    [
        ("no-idempotency", Plan(kills=2, kinds=("gateway",), patience=10.0)),
        ("ack-before-commit", Plan(kills=8, kinds=("gateway",), patience=10.0)),
    ],
)
async def test_the_checker_sees_what_a_mutant_breaks(tmp_path: Path, mutant: str, plan: Plan) -> None:
    async with System(tmp_path, lease_seconds=LEASE, mutant=mutant) as system:
        verdict = check(await run(system, plan))
    broken = verdict.duplicated if mutant == "no-idempotency" else verdict.lost
    assert broken, verdict
    assert verdict.problems
