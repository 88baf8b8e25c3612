"""What a visual memory costs: the time to search it. Run: `python benchmarks/memory.py`.

What it gives, how many things are named that it was taught, is a figure of `vlbm eval packaged`.
"""

from __future__ import annotations

import time

import torch

import vlbm


def search_milliseconds(model: vlbm.VLBMForConditionalGeneration, pictures: int) -> float:
    """Median of 5: one picture compared with so many."""
    width = model.config.encoder_spec.width
    kept, one = torch.nn.functional.normalize(torch.randn(pictures, width), dim=1), torch.randn(1, width)
    times = []
    for _ in range(5):
        started = time.perf_counter()
        (torch.nn.functional.normalize(one, dim=1) @ kept.T).topk(min(3, pictures), dim=1)
        times.append(1000 * (time.perf_counter() - started))
    return sorted(times)[2]


def main() -> None:
    """Time the search."""
    model, _ = vlbm.load_packaged()
    for pictures in (1_000, 10_000, 100_000):
        print(f"search among {pictures:,}: {search_milliseconds(model, pictures):.1f} ms")


if __name__ == "__main__":
    main()
