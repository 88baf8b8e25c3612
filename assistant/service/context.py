"""What of a conversation fits the model's context: the system prompt, the newest turns, and their pictures.

What no longer fits is summed up once, by the model; the next turns begin after it. More than has to go is
cut then, so that this is seldom, and prompts between begin alike, which an engine need not read again. Pictures are
read when it is known which of them stay.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from assistant.budget import prompt_budget, surely_fits
from assistant.domain.errors import EngineError, NotFound
from assistant.domain.messages import ImagePart, Message
from assistant.domain.prompts import Prompt
from assistant.domain.summaries import Summary
from assistant.domain.turns import TurnOptions
from assistant.ports.conversations import ConversationStore
from assistant.ports.engine import Engine, EngineMessage, EnginePicture, EngineRequest, Token
from assistant.ports.pictures import PictureStore
from assistant.ports.queue import Claim
from assistant.service.lengths import Lengths
from assistant.service.submissions import MOST_PICTURES

SUMMARY = TurnOptions(max_tokens=120, temperature=0)
# Reported speech: a small model goes on with a dialogue rather than sum it up.
SAYS = {"user": "The user said", "assistant": "The assistant answered"}


async def load_picture(pictures: PictureStore, owner: str, image_id: str) -> EnginePicture:
    """A picture as engines take it. Raises ``NotFound``."""
    stored = await pictures.get(owner, image_id)
    data = await pictures.data(stored)
    return EnginePicture(image_id, stored.sha256, data, stored.width, stored.height, stored.animated)


@dataclass(frozen=True, slots=True)
class Context:
    """The prompt for an answer, and what the reader should know of it."""

    prompt: tuple[EngineMessage, ...]
    notes: tuple[str, ...] = ()


class Contexts:
    """Makes prompts of conversations.

    Args:
        system: the system prompt.
        earlier: asks for a summary; its variable is ``text``.
    """

    def __init__(
        self, engine: Engine, conversations: ConversationStore, pictures: PictureStore, system: str, earlier: Prompt
    ) -> None:
        self._engine = engine
        self._conversations = conversations
        self._pictures = pictures
        self._system = system
        self._earlier = earlier

    async def of(self, claim: Claim, history: Sequence[Message], tell: Callable[[], Awaitable[None]]) -> Context:
        """The prompt for an answer to the last message of ``history``.

        ``tell`` is called before older messages are summed up. Of more than ``MOST_PICTURES`` pictures the newest
        stay; an earlier picture that is gone is left out.

        Raises:
            EngineError: the last message alone is too long, or the answer is to be.
            NotFound: a picture of the last message is gone.
        """
        budget = prompt_budget(self._engine, claim.options)
        turns = [_without_bytes(message) for message in history]
        if surely_fits([EngineMessage("system", self._system), *turns], budget):
            return await self._context(claim.owner, history, 0, None)
        lengths = Lengths(self._engine, turns)
        if await asyncio.to_thread(lengths.fits, self._system, 0, budget):
            return await self._context(claim.owner, history, 0, None)
        summary = await self._conversations.summary(claim.session_id)
        after = _after(summary, history)
        if after and await asyncio.to_thread(lengths.fits, self._head(summary), after, budget):
            return await self._context(claim.owner, history, after, summary)
        cut = await asyncio.to_thread(lengths.cut, self._system, after, budget)
        if cut > after:
            await tell()
            summary = await self._sum_up(claim, history, after, cut, summary)
        if summary and not await asyncio.to_thread(lengths.fits, self._head(summary), cut, budget):
            summary = None  # the last turn leaves no room for it
        return await self._context(claim.owner, history, cut, summary)

    async def _context(self, owner: str, history: Sequence[Message], start: int, summary: Summary | None) -> Context:
        """What is kept of the history, from ``start`` on, with its pictures."""
        kept = history[start:]
        names = [image_id for message in kept for image_id in message.image_ids][-MOST_PICTURES:]
        prompt = [EngineMessage("system", self._head(summary))]
        for message in kept:
            wanted = [name for name in message.image_ids if name in names]
            loaded = await self._load(owner, wanted, must=message is history[-1])
            prompt.append(EngineMessage(message.role, message.text, loaded))
        return Context(tuple(prompt), _notes(start, summary))

    async def _load(self, owner: str, names: list[str], *, must: bool) -> tuple[EnginePicture, ...]:
        loaded = []
        for name in names:
            try:
                loaded.append(await load_picture(self._pictures, owner, name))
            except NotFound:
                if must:
                    raise
        return tuple(loaded)

    def _head(self, summary: Summary | None) -> str:
        if summary is None:
            return self._system
        return f"{self._system}\n\nEarlier in this conversation: {summary.text}"

    async def _sum_up(
        self, claim: Claim, history: Sequence[Message], after: int, cut: int, before: Summary | None
    ) -> Summary | None:
        """Sum up the messages from ``after`` to ``cut`` with what was summed up before; None where the model cannot."""
        said = [f"Before that: {before.text}"] if before and after else []
        said += [f"{SAYS[message.role]}: {message.text}" for message in history[after:cut]]
        try:
            text = await self._ask("\n\n".join(said), claim.owner)
        except EngineError:
            return None
        if not text:
            return None
        summary = Summary(until=history[cut - 1].message_id, text=text)
        await self._conversations.keep_summary(claim.owner, claim.session_id, summary)
        return summary

    async def _ask(self, text: str, owner: str) -> str:
        budget = prompt_budget(self._engine, SUMMARY)
        asked = [EngineMessage("user", self._earlier.render(text=text))]
        while not surely_fits(asked, budget) and await asyncio.to_thread(self._engine.count_tokens, asked) > budget:
            text = text[len(text) // 4 + 1 :]  # the newest of it matters most
            asked = [EngineMessage("user", self._earlier.render(text=text))]
        said = ""
        async with aclosing(self._engine.generate(EngineRequest(tuple(asked), SUMMARY, owner=owner))) as stream:
            async for event in stream:
                said += event.text if isinstance(event, Token) else ""
        return said.strip()


def _without_bytes(message: Message) -> EngineMessage:
    """A message as it can be counted before its pictures are read."""
    pictures = (part for part in message.parts if isinstance(part, ImagePart))
    unread = (EnginePicture(part.image_id, "", b"", part.width, part.height) for part in pictures)
    return EngineMessage(message.role, message.text, tuple(unread))


def _after(summary: Summary | None, history: Sequence[Message]) -> int:
    """How many messages a summary covers; none where its last one is not among those before the question."""
    if summary is None:
        return 0
    return next((n for n, message in enumerate(history[:-1], 1) if message.message_id == summary.until), 0)


def _notes(many: int, summary: Summary | None) -> tuple[str, ...]:
    if not many:
        return ()
    older = "The first message" if many == 1 else f"The first {many} messages"
    if summary is None:
        return (f"{older} of this conversation no longer fit and were left out.",)
    return (f"{older} of this conversation no longer fit: the answer knows a summary of them.",)
