"""What fits the model's context: the system prompt, the newest turns, and the pictures of those turns."""

import asyncio
from collections.abc import Sequence

from assistant.domain.errors import EngineError
from assistant.domain.messages import Message
from assistant.domain.turns import TurnOptions
from assistant.ports import Engine, EngineMessage, EnginePicture, PictureStore
from assistant.service.submissions import MOST_PICTURES

TEMPLATE_TOKENS = 64
"""More than any chat template adds to a message."""


async def load_picture(pictures: PictureStore, owner: str, image_id: str) -> EnginePicture:
    """A picture as engines take it. Raises ``NotFound``."""
    stored = await pictures.get(owner, image_id)
    data = await pictures.data(stored)
    return EnginePicture(image_id, stored.sha256, data, stored.width, stored.height)


async def chat_prompt(
    engine: Engine,
    pictures: PictureStore,
    owner: str,
    history: Sequence[Message],
    system: str,
    options: TurnOptions,
) -> tuple[EngineMessage, ...]:
    """The prompt for an answer to the last message of ``history``.

    The oldest turns are left out until the rest fits beside the answer; of more than ``MOST_PICTURES`` pictures the
    newest stay.

    Raises:
        EngineError: the last message alone is too long.
        NotFound: a picture is gone.
    """
    keep = [image_id for message in history for image_id in message.image_ids][-MOST_PICTURES:]
    messages = [EngineMessage("system", system)]
    for message in history:
        loaded = [await load_picture(pictures, owner, name) for name in message.image_ids if name in keep]
        messages.append(EngineMessage(message.role, message.text, tuple(loaded)))
    budget = engine.info.context_tokens - (options.max_tokens or engine.info.default_max_tokens)
    if _surely_fits(messages, budget):
        return tuple(messages)
    return tuple(await asyncio.to_thread(fit, engine, messages, budget))


def _surely_fits(messages: Sequence[EngineMessage], budget: int) -> bool:
    """Whether the text is so short that nobody needs to count: a token is at least a byte of it, or of the template."""
    return sum(len(message.text.encode()) + TEMPLATE_TOKENS for message in messages) + TEMPLATE_TOKENS <= budget


def fit(engine: Engine, messages: list[EngineMessage], budget: int) -> list[EngineMessage]:
    """Leave out the oldest turns after the system prompt until at most ``budget`` tokens are left.

    Raises:
        EngineError: ``prompt_too_long``, with the numbers.
    """
    system, turns = messages[0], messages[1:]
    while (length := engine.count_tokens([system, *turns])) > budget:
        if len(turns) <= 1:
            raise EngineError(
                "prompt_too_long", f"The message has {length} tokens; this model takes {budget}. Shorten it."
            )
        # A turn is a question and its answer: whatever precedes the next question goes with it.
        following = next((i for i, turn in enumerate(turns[1:], 1) if turn.role == "user"), len(turns) - 1)
        turns = turns[following:]
    return [system, *turns]
