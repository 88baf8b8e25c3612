"""Text-only chat: is each answer, token for token, that of the language model inside?

Both are asked greedily from the same tokens, the model through all of its parts and the language model by itself.
"""

from __future__ import annotations

from itertools import product

from vlbm.evaluation.card.bench import Bench
from vlbm.evaluation.card.section import Figure, Row, Section
from vlbm.evaluation.confidence import Interval, wilson
from vlbm.evaluation.naming import Posed

MAX_TOKENS = 24
TEMPLATES = (
    "What is {}?",
    "Explain {} in one sentence.",
    "Write a haiku about {}.",
    "Name three facts about {}.",
    "Translate into French: I like {}.",
    "Is {} older than the telephone?",
    "Give me a title for a book about {}.",
    "Summarise: People have long written about {}. Some of it is true.",
    "How would you describe {} to a child?",
    "Which words rhyme with {}?",
)
SUBJECTS = (
    *("the sea", "gravity", "bread", "chess", "the moon", "volcanoes", "a cat", "paper", "the Roman Empire", "music"),
    *("photosynthesis", "a bicycle", "rain", "tea", "democracy", "the violin", "snow", "a library", "time", "bees"),
)


def chat(bench: Bench) -> Section:
    """Ask both, and compare."""
    prompts = [template.format(subject) for template, subject in product(TEMPLATES, SUBJECTS)]
    chosen = bench.some(prompts, len(prompts))
    posed = [Posed(None, text) for text in chosen]
    mine = [answer.text for answer in bench.ask("Chat", posed, max_tokens=MAX_TOKENS)]
    bare = bench.bare("Chat, the language model alone", chosen, max_tokens=MAX_TOKENS)
    rows = [
        Row(shown="no picture", question=prompt, expected=theirs, said=own, right=own == theirs)
        for prompt, own, theirs in zip(chosen, mine, bare, strict=True)
    ]
    different = sum(not row.right for row in rows)
    found = wilson(different, len(rows))
    return Section(
        how=f"{len(rows)} questions without a picture, {MAX_TOKENS} tokens of each answer, greedily.",
        figures=[
            Figure(
                what="text-only chat: answers that differ from the language model's",
                target="0",
                unit="answers",
                count=len(rows),
                measured=Interval(different, found.low * len(rows), found.high * len(rows)),
                baselines={},
                met=different == 0,
            )
        ],
        rows=rows,
    )
