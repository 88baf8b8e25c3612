"""Run one claimed turn: build the prompt, stream the answer into the log, and end the turn once.

Knows nothing of how turns are claimed (see ``worker``), nor of where logs and pictures are kept.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncGenerator, Coroutine, Mapping
from dataclasses import dataclass

from pydantic import BaseModel

from assistant.domain.errors import AssistantError, Unavailable
from assistant.domain.events import (
    ErrorInfo,
    Event,
    ImageUse,
    MessageCreated,
    ToolCalled,
    ToolFinished,
    TurnFinished,
    TurnProgress,
    TurnStatus,
    Usage,
)
from assistant.domain.messages import ImagePart, Message, Part, TextPart, ToolResultPart
from assistant.domain.turns import conversation_until
from assistant.ports import (
    Claim,
    Clock,
    ConversationStore,
    End,
    Engine,
    EngineEvent,
    EngineRequest,
    Looked,
    PictureStore,
    PictureUse,
    Progress,
    Token,
    Tool,
    ToolContext,
    ToolDone,
    ToolEvent,
    TurnQueue,
)
from assistant.service.context import chat_prompt, load_picture
from assistant.service.deltas import DeltaWriter

log = logging.getLogger(__name__)
MOST_ATTEMPTS = 3
HEARTBEAT_SECONDS = 5.0


@dataclass(slots=True)
class _Outcome:
    """How a turn went, as far as it went."""

    status: TurnStatus = "completed"
    looked: tuple[PictureUse, ...] = ()
    end: End | None = None
    result: BaseModel | None = None
    error: ErrorInfo | None = None


class TurnRunner:
    """Answers claimed turns with one engine and a set of tools."""

    def __init__(
        self,
        engine: Engine,
        conversations: ConversationStore,
        queue: TurnQueue,
        pictures: PictureStore,
        tools: Mapping[str, Tool],
        system_prompt: str,
        clock: Clock,
    ) -> None:
        self._engine = engine
        self._conversations = conversations
        self._queue = queue
        self._pictures = pictures
        self._tools = tools
        self._system = system_prompt
        self._clock = clock

    async def run(self, claim: Claim) -> None:
        """Answer the turn and end it.

        Raises:
            LostClaim: another worker has the turn; nothing more was written.
        """
        messages = await self._conversations.messages(claim.session_id)
        history = conversation_until(claim.turn_id, messages)
        outcome = _Outcome()
        async with DeltaWriter(self._queue, claim) as deltas:
            if claim.attempt > MOST_ATTEMPTS:
                outcome = _failed("attempts_exhausted", f"No worker finished this answer in {MOST_ATTEMPTS} attempts.")
            else:
                await self._unless_cancelled(claim, self._answer(claim, history, deltas, outcome), outcome)
        events = self._last_events(claim, history, deltas.text, outcome)
        await self._queue.finish(claim, events, outcome.status)

    async def _unless_cancelled(self, claim: Claim, answering: Coroutine[None, None, None], outcome: _Outcome) -> None:
        """Run to the end, or until the turn is cancelled; keep the lease meanwhile."""
        answer = asyncio.create_task(answering, name=f"answer {claim.turn_id}")
        heart = asyncio.create_task(self._heartbeat(claim), name="heartbeat")
        async with self._queue.watch_cancel(claim) as bell:
            stop = asyncio.create_task(bell.wait(), name="cancel")
            try:
                await asyncio.wait((answer, stop, heart), return_when=asyncio.FIRST_COMPLETED)
                if not answer.done() and stop.done():
                    outcome.status = "cancelled"
                elif heart.done():
                    heart.result()  # the claim is lost
            finally:
                for task in (stop, heart, answer):
                    task.cancel()
                await asyncio.gather(stop, heart, return_exceptions=True)
                with contextlib.suppress(asyncio.CancelledError):
                    await answer

    async def _heartbeat(self, claim: Claim) -> None:
        """Renew the lease and show that the turn is alive, however long the engine is silent."""
        beats = 0
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            beats += 1
            alive = TurnProgress(turn_id=claim.turn_id, stage="working", done=beats, total=0)
            await self._queue.append(claim, [alive])

    async def _answer(self, claim: Claim, history: list[Message], deltas: DeltaWriter, outcome: _Outcome) -> None:
        """Stream the answer; what a client is to be told ends up in the outcome."""
        try:
            async with contextlib.aclosing(await self._stream(claim, history, deltas.text)) as stream:
                async for item in stream:
                    await self._take(claim, item, deltas, outcome)
        except Unavailable:
            raise  # nobody's fault: the turn is taken up again when the store is back
        except AssistantError as error:
            outcome.status, outcome.error = "failed", ErrorInfo(code=error.code, message=error.message)

    async def _stream(
        self, claim: Claim, history: list[Message], prefix: str
    ) -> AsyncGenerator[EngineEvent | ToolEvent]:
        call = history[-1].tool_call
        if call is None:
            prompt = await chat_prompt(self._engine, self._pictures, claim.owner, history, self._system, claim.options)
            return self._engine.generate(EngineRequest(prompt, claim.options, prefix))
        if not prefix:
            called = ToolCalled(turn_id=claim.turn_id, name=call.name, arguments=call.arguments)
            await self._queue.append(claim, [called])
        tool = self._tools[call.name]
        pictures = [await load_picture(self._pictures, claim.owner, name) for name in history[-1].image_ids]
        context = ToolContext(self._engine, tuple(pictures), claim.options, prefix)
        return tool.run(tool.arguments.model_validate(call.arguments), context)

    async def _take(self, claim: Claim, item: EngineEvent | ToolEvent, deltas: DeltaWriter, outcome: _Outcome) -> None:
        match item:
            case Token():
                deltas.add(item)
            case Progress(stage, done, total):
                progress = TurnProgress(turn_id=claim.turn_id, stage=stage, done=done, total=total)
                await self._queue.append(claim, [progress])
            case Looked(pictures):
                outcome.looked = pictures
            case ToolDone(result, end):
                outcome.result, outcome.end = result, end
            case End():
                outcome.end = item
        if outcome.end is not None and outcome.end.reason == "length":
            outcome.status = "length"

    def _last_events(self, claim: Claim, history: list[Message], text: str, outcome: _Outcome) -> list[Event]:
        """The tool's end, the assistant's message, the turn's end. A failure before the first word has no message."""
        call = history[-1].tool_call
        events: list[Event] = []
        parts: list[Part] = [call] if call else []
        if call is not None and outcome.result is not None:
            result = outcome.result.model_dump(mode="json")
            events.append(ToolFinished(turn_id=claim.turn_id, name=call.name, result=result))
            parts.append(ToolResultPart(name=call.name, result=result))
        if text or outcome.status != "failed":
            message = Message(
                message_id=f"m_{secrets.token_urlsafe(12)}",
                role="assistant",
                parts=(*parts, TextPart(text=text)),
                turn_id=claim.turn_id,
                created_at=self._clock.now(),
            )
            events.append(MessageCreated(message=message))
        finished = TurnFinished(
            turn_id=claim.turn_id,
            status=outcome.status,
            usage=_usage(outcome.end),
            images=_image_uses(history, outcome),
            error=outcome.error,
        )
        return [*events, finished]


def _failed(code: str, message: str) -> _Outcome:
    return _Outcome(status="failed", error=ErrorInfo(code=code, message=message))


def _usage(end: End | None) -> Usage | None:
    if end is None:
        return None
    return Usage(
        prompt_tokens=end.prompt_tokens,
        completion_tokens=end.completion_tokens,
        image_cells=end.image_cells,
        engine_first_token_ms=end.first_token_ms,
        engine_ms=end.total_ms,
    )


def _image_uses(history: list[Message], outcome: _Outcome) -> tuple[ImageUse, ...]:
    """Every picture sent with the turn or looked back on, seen or not: none is passed over in silence."""
    sizes = {part.image_id: part for message in history for part in message.parts if isinstance(part, ImagePart)}
    unseen = PictureUse("", seen=False, reason=f"the answer was {outcome.status} before")
    uses = dict.fromkeys(history[-1].image_ids, unseen) | {use.image_id: use for use in outcome.looked}
    return tuple(
        ImageUse(
            image_id=image_id,
            seen=use.seen,
            width=sizes[image_id].width,
            height=sizes[image_id].height,
            reason=use.reason,
        )
        for image_id, use in uses.items()
    )
