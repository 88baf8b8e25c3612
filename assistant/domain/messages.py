"""Messages and their typed parts, as stored and as sent.

Knows nothing of how pictures are kept: a part names a picture by id, never by bytes.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from assistant.domain.model import Value


class TextPart(Value):
    """Plain text, Markdown allowed."""

    type: Literal["text"] = "text"
    text: str


class ImagePart(Value):
    """A picture by id, with its size in pixels after intake."""

    type: Literal["image"] = "image"
    image_id: str
    width: int
    height: int


class ToolCallPart(Value):
    """A tool that was asked for, with the arguments as validated."""

    type: Literal["tool_call"] = "tool_call"
    name: str
    arguments: dict[str, Any]


class ToolResultPart(Value):
    """What a tool returned: its typed result as JSON."""

    type: Literal["tool_result"] = "tool_result"
    name: str
    result: dict[str, Any]


Part = Annotated[TextPart | ImagePart | ToolCallPart | ToolResultPart, Field(discriminator="type")]


class Message(Value):
    """One committed message of a conversation.

    Attributes:
        parent: the message before it, None for one that begins a conversation. Where that is an answer that never came,
            what it would have answered is (see ``turns.answer_id``).
    """

    message_id: str
    role: Literal["user", "assistant"]
    parts: tuple[Part, ...]
    turn_id: str
    created_at: datetime
    parent: str | None = None

    @property
    def text(self) -> str:
        """The text parts joined."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))

    @property
    def image_ids(self) -> tuple[str, ...]:
        """Ids of the pictures, in order."""
        return tuple(part.image_id for part in self.parts if isinstance(part, ImagePart))

    @property
    def tool_call(self) -> ToolCallPart | None:
        """The tool asked for in this message, if any."""
        return next((part for part in self.parts if isinstance(part, ToolCallPart)), None)
