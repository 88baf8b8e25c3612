"""How much an owner may take: what is counted, how fast it comes back, and the sentences that refuse.

Knows nothing of where the counts are kept.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from assistant.domain.errors import LimitReached

Resource = Literal["turns", "tokens", "pixels", "bytes"]
"""What a bucket holds: turns begun, tokens generated, pixels of pictures taken in, bytes of pictures sent."""

_WORDS: dict[Resource, tuple[str, str]] = {
    "turns": ("messages", "Send this one in"),
    "tokens": ("generated tokens", "Ask for a shorter answer (max_tokens), or send this message in"),
    "pixels": ("pixels of pictures", "Send a smaller picture, or this one in"),
    "bytes": ("bytes of pictures", "Send a smaller picture, or this one in"),
}


@dataclass(frozen=True, slots=True)
class Allowance:
    """A token bucket: holds at most ``most``, and is full again ``seconds`` after it was empty."""

    most: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Allowances:
    """What every owner is allowed. What is not in ``buckets`` is not limited; nor is a count of 0."""

    buckets: Mapping[Resource, Allowance]
    turns_at_once: int = 0
    sockets: int = 0


UNLIMITED = Allowances({})


@dataclass(frozen=True, slots=True)
class Standing:
    """What an owner has left of what is limited, and in how many seconds all of it is there again."""

    remaining: Mapping[Resource, int]
    reset: Mapping[Resource, float]


def exhausted(resource: Resource, retry_after: float) -> LimitReached:
    """Too little is left now; so many seconds later there will be enough, if nothing else is taken."""
    noun, again = _WORDS[resource]
    return LimitReached(
        f"{resource}_exhausted",
        f"You have used up your {noun} for now. {again} {duration(retry_after)}.",
        retry_after=retry_after,
    )


def never(resource: Resource, wanted: int, most: int) -> LimitReached:
    """More than a full bucket holds: waiting does not help."""
    noun, _ = _WORDS[resource]
    return LimitReached(
        f"{resource}_beyond_limit", f"This takes {wanted} {noun}; at most {most} are allowed. Ask for less."
    )


def too_many_running(most: int) -> LimitReached:
    """A count that falls when an answer ends; when that is, nobody knows."""
    return LimitReached(
        "too_many_running",
        f"{most} of your messages are being answered, which is as many as may be at once. "
        "Send this one when an answer has ended.",
        retry_after=2.0,
    )


def too_many_sockets(most: int) -> LimitReached:
    """A count that falls when a socket closes."""
    return LimitReached(
        "too_many_sockets",
        f"You are connected {most} times, which is as often as may be. Close another window or program.",
        retry_after=5.0,
    )


def duration(seconds: float) -> str:
    """A time for a person, rounded up: 12 s, 3 min, 2 h."""
    for most, unit, name in ((120, 1, "s"), (7200, 60, "min")):
        if seconds <= most:
            return f"{max(math.ceil(seconds / unit), 1)} {name}"
    return f"{math.ceil(seconds / 3600)} h"
