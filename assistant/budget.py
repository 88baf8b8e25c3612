"""How long a prompt may be beside its answer, and whether one is.

Counting takes a tokenizer and time; most prompts are so short that nobody needs to count.
"""

import asyncio
from collections.abc import Sequence

from assistant.domain.errors import EngineError
from assistant.domain.turns import TurnOptions
from assistant.ports.engine import Engine, EngineMessage

TEMPLATE_TOKENS = 64
"""More than any chat template adds to a message."""


def prompt_budget(engine: Engine, options: TurnOptions) -> int:
    """Tokens that are left for the prompt.

    Raises:
        EngineError: the answer alone is to be longer than the context.
    """
    answer = options.max_tokens or engine.info.default_max_tokens
    if answer >= engine.info.context_tokens:
        raise EngineError(
            "max_tokens_too_large",
            f"max_tokens is {answer}; this model takes {engine.info.context_tokens} tokens for prompt and answer "
            "together. Ask for a shorter answer.",
        )
    return engine.info.context_tokens - answer


def surely_fits(messages: Sequence[EngineMessage], budget: int) -> bool:
    """Whether the text is so short that nobody needs to count: a token is at least a byte of it, or of the template."""
    return sum(len(message.text.encode()) + TEMPLATE_TOKENS for message in messages) + TEMPLATE_TOKENS <= budget


def too_long(length: int, budget: int) -> EngineError:
    """The error that says so, with the numbers."""
    return EngineError("prompt_too_long", f"The message has {length} tokens; this model takes {budget}. Shorten it.")


async def check_fits(engine: Engine, messages: Sequence[EngineMessage], options: TurnOptions) -> None:
    """Raises ``EngineError`` when a prompt that cannot be cut is too long."""
    budget = prompt_budget(engine, options)
    if surely_fits(messages, budget):
        return
    length = await asyncio.to_thread(engine.count_tokens, messages)
    if length > budget:
        raise too_long(length, budget)
