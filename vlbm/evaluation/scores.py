"""Scores of generated texts against references: BLEU, chrF, ROUGE-L and, where the corpus is large enough, CIDEr-D.

Each comes with a signature that says how it was computed, without which two values cannot be compared. It knows
texts, not what made them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vlbm.errors import EvaluationError
from vlbm.evaluation.cider import FEWEST, ORDERS, SCALE, SIGMA, cider_d
from vlbm.evaluation.rouge import rouge_l


@dataclass(frozen=True, slots=True)
class Score:
    """One value for a whole corpus.

    Attributes:
        name: "BLEU", "chrF", "ROUGE-L" or "CIDEr-D".
        value: from 0 to 100; CIDEr-D from 0 to 10.
        signature: how it was computed; sacrebleu's own where sacrebleu did.
        note: what to know before the value is read.
    """

    name: str
    value: float
    signature: str
    note: str


def score(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> list[Score]:
    """All scores that the corpus can carry; CIDEr-D is left out below 50 pictures.

    Sources: BLEU, Papineni et al. 2002; chrF, Popovic 2015; both by sacrebleu, Post 2018; ROUGE-L, Lin 2004; CIDEr-D,
    Vedantam et al. 2015.

    Args:
        hypotheses: one text for each picture.
        references: for each picture at least one text.

    Raises:
        EvaluationError: there are no texts, lengths differ, or a picture has no reference.
    """
    _check(hypotheses, references)
    found = [*_sacrebleu(hypotheses, references), _rouge(hypotheses, references)]
    if len(references) >= FEWEST:
        found.append(_cider(hypotheses, references))
    return found


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


def _sacrebleu(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> list[Score]:
    """Corpus BLEU and chrF with sacrebleu's defaults."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    most = max(len(texts) for texts in references)
    # sacrebleu wants one list for each rank of reference; None says that a picture has no more.
    streams = [[texts[rank] if rank < len(texts) else None for texts in references] for rank in range(most)]
    notes = {"BLEU": "0 where no text has 4 tokens; says little of single short captions", "chrF": "character 6-grams"}
    found = []
    for name, metric in (("BLEU", BLEU()), ("chrF", CHRF())):
        value = metric.corpus_score(list(hypotheses), streams).score  # type: ignore[arg-type]
        found.append(Score(name, float(value), str(metric.get_signature()), notes[name]))
    return found


def _signature(count: Sequence[Sequence[str]], *fields: str) -> str:
    """Fields in sacrebleu's manner, with the number of references and our version."""
    from vlbm import __version__

    numbers = {len(texts) for texts in count}
    refs = str(numbers.pop()) if len(numbers) == 1 else "var"
    return "|".join((f"nrefs:{refs}", "case:lc", "tok:words", *fields, f"version:vlbm-{__version__}"))


def _rouge(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> Score:
    """Mean F1 over the pictures, times 100."""
    values = [rouge_l(text, texts).f1 for text, texts in zip(hypotheses, references, strict=True)]
    signature = _signature(references, "f:1", "multi:max", "stem:no")
    return Score("ROUGE-L", 100 * sum(values) / len(values), signature, "mean F1 of the best reference, times 100")


def _cider(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> Score:
    """Mean over the pictures."""
    values = cider_d(hypotheses, references)
    fields = (f"n:{ORDERS[-1]}", f"sigma:{SIGMA:g}", f"scale:{SCALE:g}", "idf:references", "stem:no")
    note = f"idf over {len(references)} pictures; comparable on these pictures only"
    return Score("CIDEr-D", sum(values) / len(values), _signature(references, *fields), note)
