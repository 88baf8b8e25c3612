"""`vlbm bench`: what is measured is what came, in turn, of prompts that are not known from before."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import get_args

import pytest
from click.testing import CliRunner

from vlbm.cli import main
from vlbm.cli.bench import PRECISIONS
from vlbm.engine.readers import Precision
from vlbm.evaluation.pace import in_turn, measured


def test_a_pace_is_what_the_clock_says() -> None:
    def run(prompts: Sequence[str], tokens: int) -> list[list[float]]:
        start = time.perf_counter()
        return [[start + 0.1 * (place + 1) * n for n in range(1, tokens + 1)] for place in range(len(prompts))]

    found = measured(run, streams=2, tokens=5)
    assert found.tokens_per_second == pytest.approx(10 / 1.0, rel=0.01)
    assert found.first_token_ms == pytest.approx(150, rel=0.01)
    assert found.decoded_per_second == pytest.approx(8 / 0.9, rel=0.01)
    assert found.spread == pytest.approx(2)


def test_runs_are_in_turn_and_ask_each_time_anew() -> None:
    asked: list[tuple[str, str]] = []

    def named(name: str, gap: float) -> object:
        def run(prompts: Sequence[str], tokens: int) -> list[list[float]]:
            asked.extend((name, prompt) for prompt in prompts)
            start = time.perf_counter()
            return [[start + gap * n for n in range(1, tokens + 1)] for _ in prompts]

        return run

    found = in_turn({"fast": named("fast", 0.1), "slow": named("slow", 0.4)}, 1, 9, 3)  # type: ignore[dict-item]
    assert [name for name, _ in asked] == ["fast", "slow"] * 4
    assert len({prompt for _, prompt in asked}) == 4
    assert found["fast"].decoded_per_second == pytest.approx(10, rel=0.01)
    assert found["slow"].decoded_per_second == pytest.approx(2.5, rel=0.01)


def test_the_command_prints_one_json_object() -> None:
    options = ["bench", "--json", "--streams", "1,3", "--tokens", "4", "--runs", "1", "--peer", "transformers"]
    done = CliRunner().invoke(main, options)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert [row["streams"] for row in report["results"]] == [1, 3]
    for row in report["results"]:
        for name in ("vlbm", "transformers"):
            assert row[name]["tokens_per_second"] > 0
            assert row[name]["first_token_ms"] > 0
            assert row[name]["spread"] >= 1
    assert report["precision"] in ("int4", "fp32")


def test_what_is_no_list_of_numbers_is_named() -> None:
    done = CliRunner().invoke(main, ["bench", "--streams", "1,many"])
    assert done.exit_code == 2
    assert "'1,many' is not a list of numbers such as 1,8" in done.output


def test_the_command_offers_the_precisions_that_the_engine_has() -> None:
    assert set(PRECISIONS) == set(get_args(Precision))
