"""How a turn went, and the events that end it: the tool's end, the assistant's message, the turn's end."""

from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel

from assistant.domain.events import (
    ErrorInfo,
    Event,
    ImageUse,
    MessageCreated,
    ToolFinished,
    TurnFinished,
    TurnStatus,
    Usage,
)
from assistant.domain.messages import ImagePart, Message, Part, TextPart, ToolResultPart
from assistant.domain.turns import answer_id
from assistant.ports.engine import End, PictureUse
from assistant.ports.queue import Claim

_LEFT_OUT = "it is gone, or too far back to be looked at again"


@dataclass(slots=True)
class Outcome:
    """How a turn went, as far as it went.

    ``notes`` are about pictures, and told where one was looked at; ``left_out`` says what of the conversation was.
    ``generated`` are the tokens that came so far, for a turn that comes to no end of its own.
    """

    status: TurnStatus = "completed"
    looked: tuple[PictureUse, ...] = ()
    end: End | None = None
    generated: int = 0
    result: BaseModel | None = None
    error: ErrorInfo | None = None
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def fail(self, code: str, message: str) -> None:
        """It failed, and this is why."""
        self.status, self.error = "failed", ErrorInfo(code=code, message=message)


def last_events(claim: Claim, history: list[Message], text: str, outcome: Outcome, now: datetime) -> list[Event]:
    """The events that end a turn. A failure before the first word has no message."""
    turn_id = claim.turn_id
    call = history[-1].tool_call if history else None
    events: list[Event] = []
    parts: list[Part] = [call] if call else []
    if call is not None and outcome.result is not None:
        result = outcome.result.model_dump(mode="json")
        events.append(ToolFinished(turn_id=turn_id, name=call.name, result=result))
        parts.append(ToolResultPart(name=call.name, result=result))
    if text or outcome.status != "failed":
        message = Message(
            message_id=answer_id(claim.message_id, turn_id),
            role="assistant",
            parts=(*parts, TextPart(text=text)),
            turn_id=turn_id,
            created_at=now,
            parent=claim.message_id,
        )
        events.append(MessageCreated(message=message))
    finished = TurnFinished(
        turn_id=turn_id,
        status=outcome.status,
        usage=_usage(outcome.end),
        images=_image_uses(history, outcome),
        error=outcome.error,
        notes=_notes(outcome) or None,
    )
    return [*events, finished]


def _notes(outcome: Outcome) -> tuple[str, ...]:
    return (*outcome.left_out, *(outcome.notes if any(use.seen for use in outcome.looked) else ()))


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


def _image_uses(history: list[Message], outcome: Outcome) -> tuple[ImageUse, ...]:
    """Every picture that the answer might have looked at, seen or not: none is passed over in silence.

    For a tool those are the pictures of its call; for an answer in a chat, all of the conversation so far.
    """
    question = history[-1:]
    within = question if question and question[0].tool_call else history
    uses = {use.image_id: use for use in outcome.looked}
    fresh = {image_id for message in question for image_id in message.image_ids}
    parts = {part.image_id: part for message in within for part in message.parts if isinstance(part, ImagePart)}
    told = []
    for image_id, part in parts.items():
        unseen = f"the answer was {outcome.status} before" if image_id in fresh else _LEFT_OUT
        use = uses.get(image_id, PictureUse(image_id, seen=False, reason=unseen))
        size = {"width": part.width, "height": part.height}
        told.append(ImageUse(image_id=image_id, seen=use.seen, reason=use.reason, read=use.read, **size))
    return tuple(told)
