"""Other processes make what this one would: in order, and only what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch

from vlbm.errors import DataError
from vlbm.recipes import renderings
from vlbm.recipes.renderings import in_shards
from vlbm.training.workers import made, spare_cores


def silent(*_: object) -> None:
    """Progress that nobody reads."""


@pytest.mark.parametrize("workers", [0, 2])
def test_things_come_in_the_order_of_their_numbers(workers: int) -> None:
    found = made(lambda number: number * number, [5, 3, 8, 1, 2], workers, size=2, join=lambda some: sum(some))
    assert list(found) == [34, 65, 4]


@pytest.mark.parametrize("workers", [0, 2])
def test_torchs_own_numbers_are_left_alone(workers: int) -> None:
    torch.manual_seed(3)
    wanted = torch.rand(2)
    torch.manual_seed(3)
    list(made(float, range(4), workers, size=2, join=list))
    assert torch.equal(torch.rand(2), wanted)


def test_what_goes_wrong_in_a_worker_is_said_here() -> None:
    def refuse(number: int) -> int:
        raise DataError(f"no picture {number}")

    with pytest.raises(DataError, match="no picture 7"):
        list(made(refuse, [7], 1, size=1, join=list))


def test_spare_cores_leave_one_to_this_process() -> None:
    assert spare_cores() >= 0


def test_a_stopped_run_makes_only_the_shards_that_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renderings, "SHARD", 4)
    monkeypatch.setattr(renderings, "BATCH", 2)
    drawn = list[int]()

    def draw(numbers: Sequence[int]) -> Iterator[torch.Tensor]:
        drawn.extend(numbers)
        yield from (torch.tensor(numbers[start : start + 2]) for start in range(0, len(numbers), 2))

    def encode(numbers: Sequence[int], views: Iterator[torch.Tensor]) -> dict[str, torch.Tensor]:
        seen = torch.cat(list(views))
        assert seen.tolist() == list(numbers)
        return {"twice": 2 * seen, "of": seen[:1]}

    def run(key: str = "a") -> dict[str, torch.Tensor]:
        drawn.clear()
        return in_shards(tmp_path, key, 11, draw, encode, silent)

    whole = run()
    assert whole["twice"].tolist() == [2 * number for number in range(11)]
    assert whole["of"].tolist() == [0, 4, 8]  # shards may hold different numbers of rows
    assert drawn == list(range(11))
    sorted(tmp_path.iterdir())[1].unlink()
    again = run()
    assert drawn == [4, 5, 6, 7]
    assert all(torch.equal(again[name], value) for name, value in whole.items())
    run("b")
    assert drawn == list(range(11))
