"""Ambiguous words into other languages: does the picture decide which translation is likelier?

A forced choice between the two meanings' words, as in CoMMuTE (Futeral et al. 2023). Each meaning is asked once, so
without a picture exactly half is right (ties aside), and with the other meaning's picture what is not right with its
own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vlbm.data.records import Example
from vlbm.evaluation.ambiguous import contrasts, words
from vlbm.evaluation.card.bench import Bench, with_labels
from vlbm.evaluation.card.section import Figure, Row, Section, share
from vlbm.evaluation.card.things import NEAREST, NONE, PROMPTED, SHUFFLED
from vlbm.evaluation.contrast import preferred
from vlbm.evaluation.naming import Posed
from vlbm.evaluation.scores import sentence_chrf
from vlbm.evaluation.swaps import deranged
from vlbm.language import context_tokens
from vlbm.perception import Visual
from vlbm.recipes.pictures import pictures, translated_texts
from vlbm.tasks import question
from vlbm.training.encoded import Encoded, encode
from vlbm.training.seen import SeenPictures

OTHER = "the other meaning's picture"
VERBATIM = 50


def meanings(bench: Bench) -> Section:
    """Ask for the likelier of two translations, with each kind of picture."""
    listed = words()
    asked = contrasts(bench.some(listed, len(listed)), bench.data)
    hits = _ways(bench, asked)
    translated = translated_texts(pictures(bench.data, bench.tell))
    untrained = {word.word for word in listed} - translated
    groups = {
        "all": list(range(len(asked))),
        "words unseen in training": [n for n, example in enumerate(asked) if example.text in untrained],
        "words asked in training": [n for n, example in enumerate(asked) if example.text not in untrained],
    }
    return Section(
        how="Each word is asked for in the languages where its two meanings differ, once for each meaning, with a "
        "picture of that meaning: a held-out maker's where there is one. The likelier of the two translations (mean "
        "log-probability of a token) is the choice. What stands below is said freely.",
        figures=[_figure(name, places, hits) for name, places in groups.items() if places],
        rows=_said(bench, asked),
    )


def _figure(name: str, places: Sequence[int], hits: Mapping[str, Sequence[float]]) -> Figure:
    found = {way: share([values[place] for place in places]) for way, values in hits.items()}
    measured = found.pop("right")
    return Figure(
        what=f"ambiguous words, {name}: the meaning shown is chosen",
        target=f">= 85 %, 50 % without a picture, <= 20 % with {OTHER}",
        unit="%",
        count=len(places),
        measured=measured,
        baselines=found,
        met=measured.value >= 85 and abs(found[NONE].value - 50) < 1 and found[OTHER].value <= 20,
    )


def _ways(bench: Bench, asked: Sequence[Example]) -> dict[str, list[float]]:
    """For each way of asking, 1 where the right translation is the likelier one."""
    seen = SeenPictures(bench.model, bench.processor, bench.cache)

    def look(places: Sequence[int]) -> list[Visual]:
        """Each question with the picture of another one, spoken of in its own language."""
        pairs = zip(asked, places, strict=True)
        return [seen.see(asked[place].pictures[0], example.language) for example, place in pairs]

    own = look(range(len(asked)))
    # The two meanings of a word stand side by side: 0 and 1, 2 and 3.
    other = look([place ^ 1 for place in range(len(asked))])
    swapped = look(deranged([example.text for example in asked], bench.seed))
    found = {}
    for way, shown in (("right", own), (OTHER, other), (SHUFFLED, swapped), (NONE, None)):
        found[way] = _prefer(bench, asked, [[visual] for visual in shown] if shown else [[] for _ in asked])
        bench.tell("Ambiguous words", len(found), 5, way)
    labels = [bench.labels(example.pictures[0].read_bytes()) for example in asked]
    prompts = [
        Example((), e.target, "chat", with_labels(those, _question(e)), wrong=e.wrong)
        for e, those in zip(asked, labels, strict=True)
    ]
    found[PROMPTED] = _prefer(bench, prompts, [[] for _ in prompts])
    found[NEAREST] = [_nearer(bench, example) for example in asked]
    bench.tell("Ambiguous words", 5, 5, "")
    return found


def _prefer(bench: Bench, asked: Sequence[Example], shown: Sequence[Sequence[Visual]]) -> list[float]:
    def rows(targets: Sequence[str]) -> list[Encoded]:
        context = context_tokens(bench.model.config.text_config)
        return [
            encode(bench.processor, Example((), target, e.task, e.text, e.language), visuals, context=context)
            for e, target, visuals in zip(asked, targets, shown, strict=True)
        ]

    return preferred(bench.model, rows([e.target for e in asked]), rows([e.wrong or "" for e in asked]))


def _nearer(bench: Bench, example: Example) -> float:
    """Whether the nearest picture's caption is more like the right translation (chrF) than like the wrong one."""
    caption = bench.nearest(example.pictures[0].read_bytes(), example.language)
    right, wrong = (sentence_chrf(caption, text) for text in (example.target, example.wrong or ""))
    return 0.5 if right == wrong else float(right > wrong)


def _question(example: Example) -> str:
    return question(example.task, example.text, example.language)


def _said(bench: Bench, asked: Sequence[Example]) -> list[Row]:
    """What is said of some of them, drawn by the seed."""
    chosen = bench.some(asked, VERBATIM)
    posed = [Posed(e.pictures[0].read_bytes(), _question(e), e.language) for e in chosen]
    said = bench.ask("Ambiguous words, said freely", posed, max_tokens=16)
    return [
        Row(
            shown=f"{example.pictures[0].parent.name}/{example.pictures[0].name}",
            question=_question(example),
            expected=f"{example.target}, not {example.wrong}",
            said=answer.text,
            right=example.target.casefold() in answer.text.casefold(),
        )
        for example, answer in zip(chosen, said, strict=True)
    ]
