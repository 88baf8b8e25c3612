"""Scores of generated texts against references: BLEU, chrF, ROUGE-L and, where the corpus is large enough, CIDEr-D.

Each comes with a signature that says how it was computed, without which two values cannot be compared, and with the
95 % interval of a bootstrap over the pictures. It knows texts, not what made them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vlbm.errors import EvaluationError
from vlbm.evaluation.cider import FEWEST, ORDERS, SCALE, SIGMA, cider_d
from vlbm.evaluation.confidence import Interval, bootstrap_mean
from vlbm.evaluation.rouge import rouge_l

CORPUS_RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Score:
    """One value for a whole corpus.

    Attributes:
        name: "BLEU", "chrF", "ROUGE-L" or "CIDEr-D".
        interval: from 0 to 100; CIDEr-D from 0 to 10.
        signature: how it was computed; sacrebleu's own where sacrebleu did.
        note: what to know before the value is read.
    """

    name: str
    interval: Interval
    signature: str
    note: str

    @property
    def value(self) -> float:
        """Of the corpus as it is."""
        return self.interval.value


def score(hypotheses: Sequence[str], references: Sequence[Sequence[str]], *, seed: int = 0) -> list[Score]:
    """All scores that the corpus can carry; CIDEr-D is left out below 50 pictures.

    Intervals: percentile bootstrap over the pictures. BLEU and chrF, which are of the whole corpus, are computed anew
    for every resample (Koehn 2004); ROUGE-L and CIDEr-D are means over the pictures, CIDEr-D's idf as it is.

    Sources: BLEU, Papineni et al. 2002; chrF, Popovic 2015; both by sacrebleu, Post 2018; ROUGE-L, Lin 2004; CIDEr-D,
    Vedantam et al. 2015.

    Args:
        hypotheses: one text for each picture.
        references: for each picture at least one text.
        seed: of the resampling.

    Raises:
        EvaluationError: there are no texts, lengths differ, or a picture has no reference.
    """
    _check(hypotheses, references)
    found = [*_sacrebleu(hypotheses, references, seed), _rouge(hypotheses, references, seed)]
    if len(references) >= FEWEST:
        found.append(_cider(hypotheses, references, seed))
    return found


def chrf(hypotheses: Sequence[str], references: Sequence[Sequence[str]], *, seed: int = 0) -> Score:
    """chrF alone (see `score`)."""
    _check(hypotheses, references)
    return next(found for found in _sacrebleu(hypotheses, references, seed) if found.name == "chrF")


def sentence_chrf(text: str, reference: str) -> float:
    """chrF of one text, from 0 to 100."""
    from sacrebleu.metrics.chrf import CHRF

    return float(CHRF().sentence_score(text, [reference]).score)


def long_enough_for_bleu(references: Iterable[str]) -> bool:
    """Whether a reference has 4 tokens, without which BLEU is 0 whatever is said."""
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

    tokens = Tokenizer13a()  # type: ignore[no-untyped-call]
    return any(len(tokens(text).split()) >= 4 for text in references)


def _check(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    if len(hypotheses) != len(references):
        raise EvaluationError(f"{len(hypotheses)} hypotheses but references for {len(references)} pictures")
    if not hypotheses:
        raise EvaluationError("there are 0 hypotheses: nothing to score")
    for number, texts in enumerate(references):
        if isinstance(texts, str):
            raise EvaluationError(f"the references of picture {number} are one text: give a list of texts")
        if not texts:
            raise EvaluationError(f"picture {number} has no reference: give each at least 1")


def _sacrebleu(hypotheses: Sequence[str], references: Sequence[Sequence[str]], seed: int) -> list[Score]:
    """Corpus BLEU and chrF with sacrebleu's defaults."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    most = max(len(texts) for texts in references)
    # sacrebleu wants one list for each rank of reference; None says that a picture has no more.
    streams = [[texts[rank] if rank < len(texts) else None for texts in references] for rank in range(most)]
    notes = {"BLEU": "0 where no text has 4 tokens; says little of single short captions", "chrF": "character 6-grams"}
    found = []
    for name, metric in (("BLEU", BLEU()), ("chrF", CHRF())):
        value = float(metric.corpus_score(list(hypotheses), streams).score)  # type: ignore[arg-type]
        counts = metric._extract_corpus_statistics(list(hypotheses), streams)  # type: ignore[arg-type]
        low, high = _resampled(metric, counts, seed)
        interval = Interval(min(value, 100.0), low, high)  # sums of logarithms may end above 100 by a rounding
        found.append(Score(name, interval, str(metric.get_signature()), notes[name]))
    return found


def _resampled(metric: Any, counts: Sequence[Sequence[int]], seed: int) -> tuple[float, float]:
    """The middle 95 % of a corpus score over resamples of the pictures.

    sacrebleu's own (`n_bootstrap`) fails in 2.6.0 where a resample has no match at all, and reports no percentiles.

    Args:
        metric: sacrebleu's.
        counts: what it counted in each picture's text [pictures, k].
        seed: of the resampling.
    """
    table = np.asarray(counts, dtype=np.int64)
    size = len(table)
    drawn = np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), size=CORPUS_RESAMPLES)
    values = [min(float(metric._compute_score_from_stats(sums).score), 100.0) for sums in (drawn @ table).tolist()]
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


def _signature(count: Sequence[Sequence[str]], *fields: str) -> str:
    """Fields in sacrebleu's manner, with the number of references and our version."""
    from vlbm import __version__

    numbers = {len(texts) for texts in count}
    refs = str(numbers.pop()) if len(numbers) == 1 else "var"
    return "|".join((f"nrefs:{refs}", "case:lc", "tok:words", *fields, f"version:vlbm-{__version__}"))


def _rouge(hypotheses: Sequence[str], references: Sequence[Sequence[str]], seed: int) -> Score:
    """Mean F1 over the pictures, times 100."""
    values = [100 * rouge_l(text, texts).f1 for text, texts in zip(hypotheses, references, strict=True)]
    signature = _signature(references, "f:1", "multi:max", "stem:no")
    return Score("ROUGE-L", bootstrap_mean(values, seed), signature, "mean F1 of the best reference, times 100")


def _cider(hypotheses: Sequence[str], references: Sequence[Sequence[str]], seed: int) -> Score:
    """Mean over the pictures."""
    values = cider_d(hypotheses, references)
    fields = (f"n:{ORDERS[-1]}", f"sigma:{SIGMA:g}", f"scale:{SCALE:g}", "idf:references", "stem:no")
    note = f"idf over {len(references)} pictures; comparable on these pictures only"
    return Score("CIDEr-D", bootstrap_mean(values, seed), _signature(references, *fields), note)
