"""What an owner has taught: a picture, and what it shows. Pure; how it is found again is the engine's matter."""

import hashlib
import re
from datetime import datetime

from assistant.domain.errors import InvalidRequest, LimitReached
from assistant.domain.model import Value

MOST_CHARACTERS = 200
_PREFACE = re.compile(
    r"(?:this|that|it|here)(?:\s+is|['\u2019]s)\s+|(?:these|those|they)\s+are\s+"
    r"|est[eaoá]s?\s+(?:es|son)\s+|(?:c['\u2019]est|ce\s+sont|voici)\s+|(?:das|dies|hier)\s+(?:ist|sind)\s+"
    r"|quest[aeio]\s+(?:è|sono)\s+|ist[oa]\s+é\s+|est[ea]s?\s+(?:é|são)\s+",
    re.IGNORECASE,
)


class Memory(Value):
    """One taught picture.

    Attributes:
        memory_id: the same for the same picture and language: taught again, it takes the place of what was there.
        text: what the picture shows.
        language: of the text, a BCP 47 tag in lower case.
        image_id: the picture, which may be gone once it was looked at.
        sha256: of its bytes.
        added_at: when it was taught.
    """

    memory_id: str
    text: str
    language: str
    image_id: str
    sha256: str
    added_at: datetime


def memory_id(sha256: str, language: str) -> str:
    """The id of what a picture was said to show in a language; it means something to the picture's owner only."""
    return f"k_{hashlib.sha256(f'{sha256} {language}'.encode()).hexdigest()[:24]}"


def what_it_shows(text: str) -> str:
    """A caption out of what somebody said of a picture: "This is our dog Rex." is "our dog Rex".

    Raises:
        InvalidRequest: nothing is left.
        LimitReached: it is too long.
    """
    said = " ".join(text.split())
    preface = _PREFACE.match(said)
    shown = said[preface.end() if preface else 0 :].rstrip(".! ")
    if not shown:
        raise InvalidRequest("memory_text_missing", "Say what the picture shows, such as: our dog Rex.")
    if len(shown) > MOST_CHARACTERS:
        raise LimitReached(
            "memory_text_too_long",
            f"What the picture shows has {len(shown)} characters; at most {MOST_CHARACTERS} are kept. Say it shorter.",
        )
    return shown
