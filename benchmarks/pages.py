"""Is a photo of a page summarised as its clean text is? Run: `python benchmarks/pages.py [--limit N]`.

Draws 20 pages as photos (noise, tilt, blur, uneven light), lets the model summarise each from the photo and from the
clean text with one prompt, greedily, and prints how much the two summaries share, and how well the page was read.
"""

from __future__ import annotations

import argparse
import time

import vlbm
from vlbm.engine import Engine
from vlbm.evaluation.pages import page_rows, pages


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, help="only the first pages")
    parser.add_argument("--model", default="packaged", help="'packaged' or a folder")
    parser.add_argument("--verbose", action="store_true", help="print the summaries too")
    arguments = parser.parse_args()
    photos = pages(arguments.limit)
    model, processor = vlbm.load(arguments.model, progress=print)
    started, rows = time.monotonic(), []
    print("| page | character errors | ROUGE-L of the summaries |")
    print("|---|---|---|")
    for row in page_rows(Engine(model, processor), photos):
        rows.append(row)
        print(f"| {row.name} | {row.errors:.2%} | {row.rouge:.3f} |", flush=True)
        if arguments.verbose:
            print(f"\nfrom the text:  {row.from_text}\nfrom the photo: {row.from_photo}\n")
    errors, rouge = (sum(values) / len(rows) for values in zip(*((row.errors, row.rouge) for row in rows), strict=True))
    print(f"| mean of {len(rows)} | {errors:.2%} | {rouge:.3f} |")
    print(f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
