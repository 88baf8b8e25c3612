"""How deep and how wide the JSON of a frame may be, found before it is parsed.

What is inside strings does not count: a message may be about brackets. Nearly every frame has so few of them that
counting all is enough.
"""

import re

from assistant.domain.errors import InvalidRequest

MOST_DEPTH = 16
MOST_MEMBERS = 2000
"""Commas outside strings: members of all objects and elements of all lists together."""
MOST_DIGITS = 40
"""In one number; more than any number of this protocol has."""

_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_BRACKETS = re.compile(r"[\[{\]}]")
_LONG_NUMBER = re.compile(rf"[0-9.eE+-]{{{MOST_DIGITS + 1}}}")
_NOT_JSON = re.compile(r"NaN|Infinity")


def check_shape(text: str) -> None:
    """Raises ``InvalidRequest`` for a frame that is nested too deeply or has too many members, or unusual numbers."""
    brackets = text.count("{") + text.count("[")
    bare = text
    if brackets > MOST_DEPTH or text.count(",") > MOST_MEMBERS or _suspicious(text):
        bare = _STRING.sub('""', text)
    if brackets > MOST_DEPTH:
        _check_depth(bare)
    if bare.count(",") > MOST_MEMBERS:
        raise InvalidRequest(
            "frame_too_wide", f"This frame has more than {MOST_MEMBERS} members and elements. Send less in one command."
        )
    if _NOT_JSON.search(bare):
        raise InvalidRequest("malformed_json", "NaN and Infinity are no JSON: leave the field out.")
    if _LONG_NUMBER.search(bare):
        raise InvalidRequest("number_too_long", f"A number in this frame has more than {MOST_DIGITS} digits.")


def _suspicious(text: str) -> bool:
    return bool(_NOT_JSON.search(text) or _LONG_NUMBER.search(text))


def _check_depth(bare: str) -> None:
    depth = 0
    for bracket in _BRACKETS.findall(bare):
        depth += 1 if bracket in "[{" else -1
        if depth > MOST_DEPTH:
            raise InvalidRequest("frame_too_deep", f"This frame is nested more than {MOST_DEPTH} deep. Flatten it.")
