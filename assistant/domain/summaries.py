"""What the older part of a conversation was about, where it no longer fits a prompt."""

from assistant.domain.model import Value


class Summary(Value):
    """The beginning of a conversation, in short.

    Attributes:
        until: id of the last message that it covers.
        text: what was said up to there.
    """

    until: str
    text: str
