"""What fits the model's context: the system prompt, the newest turns, and the pictures of those turns."""

import asyncio
from collections.abc import Sequence

from assistant.budget import prompt_budget, surely_fits, too_long
from assistant.domain.errors import NotFound
from assistant.domain.messages import Message
from assistant.domain.turns import TurnOptions
from assistant.ports.engine import Engine, EngineMessage, EnginePicture
from assistant.ports.pictures import PictureStore
from assistant.service.submissions import MOST_PICTURES


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
    newest stay; an earlier picture that is gone is left out.

    Raises:
        EngineError: the last message alone is too long, or the answer is to be.
        NotFound: a picture of the last message is gone.
    """
    budget = prompt_budget(engine, options)
    keep = [image_id for message in history for image_id in message.image_ids][-MOST_PICTURES:]
    messages = [EngineMessage("system", system)]
    for message in history:
        wanted = [name for name in message.image_ids if name in keep]
        loaded = await _load(pictures, owner, wanted, must=message is history[-1])
        messages.append(EngineMessage(message.role, message.text, loaded))
    if surely_fits(messages, budget):
        return tuple(messages)
    return tuple(await asyncio.to_thread(fit, engine, messages, budget))


async def _load(pictures: PictureStore, owner: str, names: list[str], *, must: bool) -> tuple[EnginePicture, ...]:
    loaded = []
    for name in names:
        try:
            loaded.append(await load_picture(pictures, owner, name))
        except NotFound:
            if must:
                raise
    return tuple(loaded)


def fit(engine: Engine, messages: list[EngineMessage], budget: int) -> list[EngineMessage]:
    """Leave out the oldest turns after the system prompt until at most ``budget`` tokens are left.

    Raises:
        EngineError: ``prompt_too_long``, with the numbers.
    """
    system, turns = messages[0], messages[1:]
    while (length := engine.count_tokens([system, *turns])) > budget:
        if len(turns) <= 1:
            raise too_long(length, budget)
        # A turn is a question and its answer: whatever precedes the next question goes with it.
        following = next((i for i, turn in enumerate(turns[1:], 1) if turn.role == "user"), len(turns) - 1)
        turns = turns[following:]
    return [system, *turns]
