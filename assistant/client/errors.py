"""Errors of the client: the server said no, or it cannot be reached."""


class ClientError(Exception):
    """The server cannot be reached, or does not speak this protocol."""


class ServerRefused(ClientError):
    """The server answered a command with an error; ``code`` is stable, ``message`` is for a person.

    ``retry_after`` is there where the same command may succeed after so many seconds.
    """

    def __init__(self, code: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after = retry_after
