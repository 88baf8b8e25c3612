"""Errors a client can cause or must be told of, each with a stable code.

``AssistantError``
├── ``InvalidRequest``      the command itself is wrong: its shape, its order, its arguments
├── ``NotFound``            no such session, turn or picture *for this owner*; a stranger's is not told apart
├── ``Conflict``            the command contradicts what was accepted before
├── ``LimitReached``        too large, too many, too soon
├── ``PictureError``        the picture cannot be taken: not one, damaged, of a kind that is not read
├── ``EngineError``         the model could not answer
└── ``Unavailable``         a part that is needed (Redis, the engine) cannot be reached now

Messages are written for the person who caused them and say what to do next; they never hold secrets or user content.
Errors of programming are ordinary Python exceptions and never reach a client as text.
"""

import traceback


def trace(error: BaseException) -> str:
    """Where an exception came from, for a log: its kind and the lines of code, without its message.

    Messages of exceptions may repeat values, and values may be what a user said.
    """
    return f"{type(error).__name__}\n{''.join(traceback.format_tb(error.__traceback__))}".rstrip()


class AssistantError(Exception):
    """Base of the errors that are told to a client.

    Args:
        code: stable, lower_snake_case; what programs test for.
        message: one sentence or two for a person.
        retry_after: seconds after which the same command may succeed, if it may.
    """

    def __init__(self, code: str, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after = retry_after


class InvalidRequest(AssistantError):
    """The command is wrong in itself; sending it again unchanged will fail again."""


class NotFound(AssistantError):
    """No such thing for this owner."""


class Conflict(AssistantError):
    """The command contradicts something accepted before."""


class LimitReached(AssistantError):
    """A size, a count or a pace went over its limit."""


class PictureError(AssistantError):
    """The bytes cannot be taken as a picture."""


class EngineError(AssistantError):
    """The model could not give an answer."""


class Unavailable(AssistantError):
    """A part that is needed cannot be reached now."""
