"""What a list of conversations shows of each."""

from datetime import datetime

from assistant.domain.messages import Message
from assistant.domain.model import Value

TITLE_CHARACTERS = 60
MOST_TITLE_CHARACTERS = 200


class SessionInfo(Value):
    """A conversation in a list.

    Attributes:
        title: the first words of its first message, until it is renamed.
        updated_at: when its owner last sent a message.
        messages: how many there are, of the user and of the assistant.
    """

    session_id: str
    title: str
    created_at: datetime
    updated_at: datetime
    messages: int


class SessionPage(Value):
    """Some of an owner's conversations, newest first. ``before`` gives the next page; without it there is none."""

    sessions: tuple[SessionInfo, ...]
    before: str | None = None


def first_words(message: Message) -> str:
    """The title that a conversation gets from its first message, on one line, cut at a word where there is one."""
    words = " ".join(message.text.split())
    if not words:
        words = message.tool_call.name.capitalize() if message.tool_call else "Picture"
    if len(words) <= TITLE_CHARACTERS:
        return words
    head, space, _ = words[: TITLE_CHARACTERS - 1].rpartition(" ")
    return f"{(head if space else words[: TITLE_CHARACTERS - 2]).rstrip()} …"
