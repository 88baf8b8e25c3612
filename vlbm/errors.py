"""Every error that `vlbm` raises on purpose, as one tree.

    VLBMError
    +-- ConfigError             a setting that cannot work; the message names the field and what it may be
    +-- WeightsError            weights that cannot be used
    |   +-- WeightsMissing      a file or package is not there
    |   +-- WeightsDamaged      a file is there but is not what was shipped
    +-- MemoryUnusable          a visual memory that is damaged, or of another encoder
    +-- PictureError            bytes that are not a picture that can be read
    +-- ReadingMissing          words in pictures cannot be read: the package that does is not there
    +-- NoWords                 a picture whose words were asked for has none that can be read
    +-- PromptTooLong           a prompt beyond the model's context; carries the numbers
    +-- NotEnoughMemory         an engine that would not fit; says what it needs
    +-- EngineBusy              too many turns wait already; carries how many
    +-- EngineFailed            a turn that the engine could not finish
    +-- DataError               a data source that cannot be prepared or read
    +-- EvaluationError         texts that cannot be scored as asked; carries the numbers

Messages are written for the person at the keyboard: what is wrong, and what to do. Errors of misuse by a programmer
stay Python's own (`TypeError`, `ValueError`).
"""

from __future__ import annotations


class VLBMError(Exception):
    """Base of everything below."""


class ConfigError(VLBMError):
    """A setting that cannot work."""


class WeightsError(VLBMError):
    """Weights that cannot be used."""


class WeightsMissing(WeightsError):
    """A file or package of weights is not there."""


class WeightsDamaged(WeightsError):
    """A file of weights is there but is not what was shipped."""


class MemoryUnusable(VLBMError):
    """A visual memory that is damaged, or of another encoder."""


class PictureError(VLBMError):
    """Bytes that are not a picture that can be read."""


class ReadingMissing(VLBMError):
    """Words in pictures cannot be read: the package that does is not installed, or cannot be loaded."""


class NoWords(VLBMError):
    """A picture whose words were asked for has none that can be read."""


class PromptTooLong(VLBMError):
    """The prompt and the answer's room exceed the context.

    Attributes:
        prompt_tokens: tokens of the rendered conversation.
        max_tokens: tokens asked for the answer.
        context_tokens: what the model can hold in all.
    """

    def __init__(self, *, prompt_tokens: int, max_tokens: int, context_tokens: int) -> None:
        self.prompt_tokens = prompt_tokens
        self.max_tokens = max_tokens
        self.context_tokens = context_tokens
        super().__init__(
            f"the conversation has {prompt_tokens} tokens and the answer asks for {max_tokens}, "
            f"but the model holds {context_tokens}: drop older turns or ask for a shorter answer"
        )


class NotEnoughMemory(VLBMError):
    """An engine that would not fit; the message says how much it needs."""


class EngineBusy(VLBMError):
    """Too many turns wait already.

    Attributes:
        waiting: how many.
    """

    def __init__(self, waiting: int) -> None:
        self.waiting = waiting
        super().__init__(f"{waiting} turns wait already: try again in a moment")


class EngineFailed(VLBMError):
    """A turn that the engine could not finish, or one that it can no longer take."""


class DataError(VLBMError):
    """A data source that cannot be prepared or read."""


class EvaluationError(VLBMError):
    """Texts that cannot be scored as asked."""
