"""What was read in a picture. Plain values: it knows nothing of how they were found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Corners = tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]
"""(x, y) of a line's corners from the top left clockwise, as the line is read."""


@dataclass(frozen=True, slots=True)
class Line:
    """A run of words on one line.

    Attributes:
        text: what it says.
        confidence: mean probability of its letters, 0 to 1.
        box: its corners, in pixels of the upright picture; those of a tilted line are tilted.
    """

    text: str
    confidence: float
    box: Corners


@dataclass(frozen=True, slots=True)
class Reading:
    """What a picture says.

    Attributes:
        lines: in reading order: columns from left to right, each from top to bottom.
        text: the lines joined: a space where a line was only full, a new line where it was ended, an empty line
            between paragraphs and columns; words that were hyphenated at the end of a line are whole again.
        width, height: of the upright picture, in pixels.
        notes: what was done to the picture to read it, for a person; none where it was read as it is.
    """

    lines: tuple[Line, ...]
    text: str
    width: int
    height: int
    notes: tuple[str, ...] = ()

    @property
    def words(self) -> int:
        """How many words were read."""
        return len(self.text.split())

    def to_json(self) -> dict[str, Any]:
        """As plain values: boxes rounded to a tenth of a pixel, confidences to a thousandth."""
        return {
            "text": self.text,
            "width": self.width,
            "height": self.height,
            "notes": list(self.notes),
            "lines": [
                {
                    "text": line.text,
                    "confidence": round(line.confidence, 3),
                    "box": [[round(x, 1), round(y, 1)] for x, y in line.box],
                }
                for line in self.lines
            ],
        }
