"""Photos of pages: is one summarised as its clean text is, and how well was it read?

The words are read beside the model, so what is measured is how far slips of the reader carry. Another page's summary
tells how much two summaries share that have nothing to do with each other.
"""

from __future__ import annotations

from vlbm.engine import Engine
from vlbm.evaluation.card.bench import Bench
from vlbm.evaluation.card.section import Figure, Row, Section
from vlbm.evaluation.confidence import bootstrap_mean
from vlbm.evaluation.pages import PROMPT, PageRow, page_rows
from vlbm.evaluation.pages import pages as drawn
from vlbm.evaluation.rouge import rouge_l


def pages(bench: Bench) -> Section:
    """Summarise each page from its photo and from its text, and compare."""
    everything = drawn()
    chosen = bench.some(everything, len(everything))
    found = list[PageRow]()
    for row in page_rows(Engine(bench.model, bench.processor), chosen):
        found.append(row)
        bench.tell("Pages", len(found), len(chosen), "")
    others = [*found[1:], found[0]]
    unrelated = [rouge_l(row.from_photo, [other.from_text]).f1 for row, other in zip(found, others, strict=True)]
    return Section(
        how=f"{len(found)} pages of plain English, each drawn as a photo (tilt, blur, uneven light, noise), summarised "
        "from the photo and from the clean text with one prompt, greedily.",
        figures=[
            Figure(
                what="photos of pages: their summaries beside those of the clean texts",
                unit="ROUGE-L",
                count=len(found),
                measured=bootstrap_mean([100 * row.rouge for row in found], bench.seed),
                baselines={"another page": bootstrap_mean([100 * value for value in unrelated], bench.seed)},
            ),
            Figure(
                what="photos of pages: letters read wrongly, left out or added",
                unit="%",
                count=len(found),
                measured=bootstrap_mean([100 * row.errors for row in found], bench.seed),
                baselines={},
            ),
        ],
        rows=[Row(shown=row.name, question=PROMPT, expected=row.from_text, said=row.from_photo) for row in found],
    )
