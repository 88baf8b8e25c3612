"""Errors of the client: the server said no, or it cannot be reached."""

import re

from assistant.domain.limits import duration

_SAYS_WHEN = re.compile(r" in \d+ (s|min|h)\.$")


class ClientError(Exception):
    """The server cannot be reached, or does not speak this protocol."""


class ServerRefused(ClientError):
    """The server answered a command with an error; ``code`` is stable, ``message`` is for a person.

    ``retry_after`` is there where the same command may succeed after so many seconds; as text, the error says so too.
    """

    def __init__(self, code: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(message if retry_after is None else _with_time(message, retry_after))
        self.code = code
        self.message = message
        self.retry_after = retry_after


def _with_time(message: str, retry_after: float) -> str:
    """The sentence, with when to try again where it does not say that itself."""
    return message if _SAYS_WHEN.search(message) else f"{message} Try again in {duration(retry_after)}."
