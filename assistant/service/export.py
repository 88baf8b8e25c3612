"""A conversation as a document to take along: JSON with everything that is kept, or Markdown to read.

The JSON object has ``format``, ``version``, ``session_id``, ``title``, ``created_at``, ``messages`` (as in the
protocol, in the order of the log), ``turns`` (how each ended: the fields of ``turn.finished``) and ``pictures``
(``image_id``, ``sha256`` of the bytes kept, ``source_sha256`` of the bytes sent, ``width``, ``height``, ``resized``,
``animated``: the first frame is kept).
A picture that is gone by now is in the messages alone.
"""

import itertools
import json
from collections.abc import Iterable
from typing import Any

from assistant.domain.events import MessageCreated, TurnFinished
from assistant.domain.messages import ImagePart, Message, Part, TextPart, ToolCallPart
from assistant.domain.turns import newest_branch
from assistant.ports.conversations import Record
from assistant.ports.pictures import StoredPicture

FORMAT = "vlbm-assistant.conversation"
VERSION = 1
_NAMES = {"user": "You", "assistant": "Assistant"}


def messages_of(record: Record) -> list[Message]:
    """The messages, in the order of the log."""
    return [placed.event.message for placed in record.events if isinstance(placed.event, MessageCreated)]


def as_json(record: Record, pictures: Iterable[StoredPicture]) -> str:
    """The whole record as one JSON object, indented."""
    ends = [placed.event for placed in record.events if isinstance(placed.event, TurnFinished)]
    document = {
        "format": FORMAT,
        "version": VERSION,
        "session_id": record.session_id,
        "title": record.title,
        "created_at": record.created_at.isoformat().replace("+00:00", "Z"),
        "messages": [message.model_dump(mode="json", exclude_none=True) for message in messages_of(record)],
        "turns": [end.model_dump(mode="json", exclude_none=True, exclude={"type"}) for end in ends],
        "pictures": [_picture(picture) for picture in pictures],
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _picture(picture: StoredPicture) -> dict[str, Any]:
    return {
        "image_id": picture.image_id,
        "sha256": picture.sha256,
        "source_sha256": picture.source_sha256,
        "width": picture.width,
        "height": picture.height,
        "resized": picture.resized,
        "animated": picture.animated,
    }


def as_markdown(record: Record) -> str:
    """The newest branch: messages under headings, and how a turn ended where it did not end well."""
    messages = newest_branch(messages_of(record))
    ends = {placed.event.turn_id: placed.event for placed in record.events if isinstance(placed.event, TurnFinished)}
    begun = f"{record.created_at:%Y-%m-%d %H:%M} UTC"
    blocks = [f"# {record.title or 'Conversation'}", f"Begun {begun}."]
    for message, after in itertools.zip_longest(messages, messages[1:]):
        blocks += [f"## {_NAMES[message.role]}, {message.created_at:%Y-%m-%d %H:%M} UTC"]
        blocks += [block for part in message.parts if (block := _block(part))]
        is_last = message.role == "assistant" or after is None or after.role == "user"
        if is_last and (end := ends.get(message.turn_id)) and (told := _ending(end)):
            blocks.append(f"> {told}")
    if others := len(messages_of(record)) - len(messages):
        blocks.append(f"---\n\n*Other branches have {others} more messages; an export as JSON has them.*")
    return "\n\n".join(blocks) + "\n"


def _block(part: Part) -> str:
    match part:
        case TextPart():
            return part.text.strip("\n")
        case ImagePart():
            return f"*Picture `{part.image_id}`, {part.width} x {part.height}*"
        case ToolCallPart():
            return f"Tool `{part.name}`:\n\n{_fenced(part.arguments)}"
    return f"Result of `{part.name}`:\n\n{_fenced(part.result)}"


def _fenced(value: dict[str, Any]) -> str:
    text = json.dumps(value, ensure_ascii=False, indent=2)
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}json\n{text}\n{fence}"


def _ending(end: TurnFinished) -> str:
    if end.error is not None:
        return f"Failed: {end.error.message}"
    return {"cancelled": "Stopped here.", "length": "Cut here: the longest length."}.get(end.status, "")
