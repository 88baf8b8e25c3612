"""Run one claimed turn: build the prompt, stream the answer into the log, and end the turn once.

Knows nothing of how turns are claimed (see ``worker``), nor of where logs and pictures are kept.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence

from assistant.domain.errors import AssistantError, Unavailable
from assistant.domain.events import Event, ToolCalled, TurnProgress
from assistant.domain.messages import Message
from assistant.domain.prompts import Prompt
from assistant.domain.turns import path_to
from assistant.ports.conversations import ConversationStore
from assistant.ports.engine import End, Engine, EngineEvent, EnginePicture, EngineRequest, Looked, Progress, Token
from assistant.ports.limits import LimitStore
from assistant.ports.memories import MemoryStore
from assistant.ports.pictures import PictureStore
from assistant.ports.queue import Claim, TurnQueue
from assistant.ports.surroundings import Clock
from assistant.ports.tools import Tool, ToolContext, ToolDone, ToolEvent
from assistant.service.context import Contexts, load_picture
from assistant.service.deltas import DeltaWriter
from assistant.service.endings import Outcome, last_events
from assistant.service.recall import Recalled, recall

log = logging.getLogger(__name__)
MOST_ATTEMPTS = 3
HEARTBEAT_SECONDS = 5.0


class TurnRunner:
    """Answers claimed turns with one engine and a set of tools."""

    def __init__(
        self,
        engine: Engine,
        conversations: ConversationStore,
        queue: TurnQueue,
        pictures: PictureStore,
        memories: MemoryStore,
        limits: LimitStore,
        tools: Mapping[str, Tool],
        prompts: Mapping[str, Prompt],
        clock: Clock,
    ) -> None:
        self._engine = engine
        self._conversations = conversations
        self._queue = queue
        self._pictures = pictures
        self._memories = memories
        self._limits = limits
        self._tools = tools
        system, earlier = prompts["system"].render(), prompts["earlier"]
        self._contexts = Contexts(engine, conversations, pictures, system, earlier)
        self._clock = clock

    async def run(self, claim: Claim) -> None:
        """Answer the turn and end it.

        Raises:
            LostClaim: another worker has the turn; nothing more was written.
            Unavailable: the store is away; the turn is taken up again when its lease is over.
        """
        history: list[Message] = []
        outcome = Outcome()
        async with DeltaWriter(self._queue, claim) as deltas:
            if claim.failures >= MOST_ATTEMPTS:
                outcome.fail(
                    "attempts_exhausted",
                    f"No worker finished this answer in {MOST_ATTEMPTS} attempts. Send the message again.",
                )
            else:
                messages = await self._conversations.messages(claim.session_id)
                history = path_to(claim.message_id, messages)
                await self._unless_cancelled(claim, self._answer(claim, history, deltas, outcome), outcome)
        events = last_events(claim, history, deltas.text, outcome, self._clock.now())
        await _whole(self._end(claim, events, outcome))

    async def _end(self, claim: Claim, events: Sequence[Event], outcome: Outcome) -> None:
        await self._settle(claim, outcome)
        await self._queue.finish(claim, events, outcome.status)

    async def _settle(self, claim: Claim, outcome: Outcome) -> None:
        """Count what was generated, before the end is told: whoever hears of it may send the next message at once."""
        generated = outcome.end.completion_tokens if outcome.end else outcome.generated
        try:
            await self._limits.settle(claim.owner, claim.turn_id, generated)
        except Unavailable:
            log.warning("the tokens of turn %s are not settled", claim.turn_id)  # they come back by themselves

    async def _unless_cancelled(self, claim: Claim, answering: Coroutine[None, None, None], outcome: Outcome) -> None:
        """Run to the end, or until the turn is cancelled; keep the lease meanwhile."""
        answer = asyncio.create_task(answering, name=f"answer {claim.turn_id}")
        heart = asyncio.create_task(self._heartbeat(claim), name="heartbeat")
        stop = asyncio.create_task(self._cancelled(claim), name="cancel")
        try:
            await asyncio.wait((answer, stop, heart), return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                for task in (stop, heart):
                    if task.done():
                        task.result()  # the claim is lost, or the store is away
                outcome.status = "cancelled"
        finally:
            for task in (stop, heart, answer):
                task.cancel()
            await asyncio.gather(stop, heart, return_exceptions=True)
            with contextlib.suppress(asyncio.CancelledError):
                await answer

    async def _cancelled(self, claim: Claim) -> None:
        """Return when the turn is to stop."""
        async with self._queue.watch_cancel(claim) as bell:
            await bell.wait()

    async def _heartbeat(self, claim: Claim) -> None:
        """Renew the lease and show that the turn is alive, however long the engine is silent."""
        beats = 0
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            beats += 1
            await self._tell(claim, "working", beats, 0)

    async def _answer(self, claim: Claim, history: list[Message], deltas: DeltaWriter, outcome: Outcome) -> None:
        """Stream the answer; what a client is to be told ends up in the outcome."""
        try:
            async with contextlib.aclosing(await self._stream(claim, history, deltas.text, outcome)) as stream:
                async for item in stream:
                    await self._take(claim, item, deltas, outcome)
            if outcome.end is None:
                outcome.fail("engine_cut_off", "The answer broke off; try again.")
        except Unavailable:
            raise  # nobody's fault: the turn is taken up again when the store is back
        except AssistantError as error:
            outcome.fail(error.code, error.message)

    async def _stream(
        self, claim: Claim, history: list[Message], prefix: str, outcome: Outcome
    ) -> AsyncGenerator[EngineEvent | ToolEvent]:
        call = history[-1].tool_call
        if call is None:
            context = await self._contexts.of(claim, history, lambda: self._tell(claim, "summarising", 0, 1))
            outcome.left_out = context.notes
            pictured = any(message.pictures for message in context.prompt)
            recalled = await self._recall(claim, outcome) if pictured else Recalled()
            outcome.notes += _about_frames(context.prompt[-1].pictures)
            return self._engine.generate(
                EngineRequest(context.prompt, claim.options, prefix, memory=recalled.taught, owner=claim.owner)
            )
        if claim.attempt == 1:
            called = ToolCalled(turn_id=claim.turn_id, name=call.name, arguments=call.arguments)
            await self._queue.append(claim, [called])
        tool = self._tools[call.name]
        pictures = [await load_picture(self._pictures, claim.owner, name) for name in history[-1].image_ids]
        recalled = await self._recall(claim, outcome) if pictures else Recalled()
        outcome.notes += _about_frames(pictures)
        asked = ToolContext(self._engine, tuple(pictures), claim.options, prefix, recalled.taught, claim.owner)
        return tool.run(tool.arguments.model_validate(call.arguments), asked)

    async def _recall(self, claim: Claim, outcome: Outcome) -> Recalled:
        """What the owner has taught; what of it cannot be used is told at the end."""

        async def tell(done: int, total: int) -> None:
            await self._tell(claim, "remembering", done, total)

        recalled = await recall(self._engine, self._memories, self._pictures, claim.owner, tell)
        outcome.notes = recalled.notes
        return recalled

    async def _tell(self, claim: Claim, stage: str, done: int, total: int) -> None:
        await self._queue.append(claim, [TurnProgress(turn_id=claim.turn_id, stage=stage, done=done, total=total)])

    async def _take(self, claim: Claim, item: EngineEvent | ToolEvent, deltas: DeltaWriter, outcome: Outcome) -> None:
        match item:
            case Token():
                deltas.add(item)
                outcome.generated += 1
            case Progress(stage, done, total):
                await self._tell(claim, stage, done, total)
            case Looked(pictures):
                outcome.looked = pictures
            case ToolDone(result, end):
                outcome.result, outcome.end = result, end
            case End():
                outcome.end = item
        if outcome.end is not None and outcome.end.reason == "length":
            outcome.status = "length"


async def _whole(last: Coroutine[None, None, None]) -> None:
    """Do the last step of a turn to its end, though the turn is stopped meanwhile: half of it, others would find."""
    ending = asyncio.create_task(last, name="ending")
    try:
        await asyncio.shield(ending)
    except asyncio.CancelledError:
        await ending
        raise


def _about_frames(pictures: Sequence[EnginePicture]) -> tuple[str, ...]:
    """A note for the reader where a picture moves."""
    if not any(picture.animated for picture in pictures):
        return ()
    return ("Only the first frame of an animated picture was looked at.",)
