"""Text-only chat: is each answer, token for token, that of the language model inside?

The engine is asked as a user would ask it; the language model by its own `generate`, greedily, from the same tokens.
"""

from __future__ import annotations

from itertools import product

import torch

from vlbm.engine import Message
from vlbm.engine.text import render
from vlbm.evaluation.answers import greedy
from vlbm.evaluation.card.bench import Bench
from vlbm.evaluation.card.section import Figure, Row, Section
from vlbm.evaluation.confidence import Interval, wilson
from vlbm.evaluation.naming import say

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
    rows = list[Row]()
    for prompt in chosen:
        mine, bare = say(bench.engine, None, prompt, max_tokens=MAX_TOKENS).text, _bare(bench, prompt)
        rows.append(Row(shown="no picture", question=prompt, expected=bare, said=mine, right=mine == bare))
        bench.tell("Chat", len(rows), len(chosen), "")
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


@torch.inference_mode()
def _bare(bench: Bench, prompt: str) -> str:
    """The language model's own answer."""
    tokenizer = bench.processor.tokenizer
    ids = torch.tensor([render(bench.processor, (Message("user", prompt),))], device=bench.model.device)
    made = bench.model.language_model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=greedy(tokenizer, MAX_TOKENS)
    )
    return str(tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True)).strip()
