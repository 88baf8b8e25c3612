"""The order in which lines are read, and the text they make.

Boxes are first turned upright by the tilt that most of them have. Two columns of prose are read one after the other,
rows of a table or a menu across. It knows places and words, not pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from vlbm.reading.result import Line

SAME_ROW = 0.5
"""Share of the lower height by which two boxes of one row overlap."""
PROSE_WIDTH = 6.0
"""A column is prose where its median line is so many times wider than high; prices beside dishes are not."""
COLUMN_LINES = 3
PARAGRAPH_GAP = 0.9
"""Distance between rows, in heights, from which a new paragraph begins."""
HOLE = 2.0
"""Distance within a row, in heights, that only a table has."""


@dataclass(frozen=True, slots=True)
class _Placed:
    """A line with its box turned upright."""

    line: Line
    left: float
    top: float
    right: float
    bottom: float

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def width(self) -> float:
        return self.right - self.left


Row = list[_Placed]


def arrange(lines: Sequence[Line]) -> tuple[tuple[Line, ...], str]:
    """Lines in reading order, and their text (see `Reading`)."""
    if not lines:
        return (), ""
    blocks = [_rows(block) for block in _blocks(_upright(lines))]
    ordered = tuple(placed.line for rows in blocks for row in rows for placed in row)
    return ordered, "\n\n".join(_text(rows) for rows in blocks)


def _upright(lines: Sequence[Line]) -> list[_Placed]:
    """Boxes turned by the median tilt; long lines tell it, short ones where there are no others."""
    corners = np.array([line.box for line in lines])  # [n,4,2]
    along = (corners[:, 1] - corners[:, 0] + corners[:, 2] - corners[:, 3]) / 2
    lengths = np.linalg.norm(along, axis=1, keepdims=True)
    long = lengths[:, 0] >= np.median(lengths)
    cos, sin = np.median((along / np.maximum(lengths, 1))[long], axis=0)
    turned = corners @ np.array([[cos, -sin], [sin, cos]]) / np.hypot(cos, sin)
    low, high = turned.min(axis=1), turned.max(axis=1)
    # A tilted line's own box is higher than its letters are: what its corners say of the height is not.
    height = np.linalg.norm(corners[:, 3] - corners[:, 0], axis=1)
    middle = (low[:, 1] + high[:, 1]) / 2
    return [
        _Placed(
            line,
            float(low[i, 0]),
            float(middle[i] - height[i] / 2),
            float(high[i, 0]),
            float(middle[i] + height[i] / 2),
        )
        for i, line in enumerate(lines)
    ]


def _blocks(placed: list[_Placed]) -> list[list[_Placed]]:
    """Columns one after the other; lines across both (a title) part what is above from what is below."""
    gutter = _gutter(placed)
    if gutter is None:
        return [placed]
    across = sorted((box for box in placed if box.left < gutter < box.right), key=lambda box: box.top)
    blocks: list[list[_Placed]] = []
    rest = [box for box in placed if box not in across]
    for line in [*across, None]:
        above = [box for box in rest if line is None or _middle(box) < _middle(line)]
        rest = [box for box in rest if box not in above]
        for side in ([box for box in above if box.right <= gutter], [box for box in above if box.right > gutter]):
            blocks += _blocks(side) if side else []
        if line is not None:
            blocks.append([line])
    return blocks


def _gutter(placed: list[_Placed]) -> float | None:
    """Where the space between two columns of prose is, or None: fewer lines cross it than stand on either side."""
    for edge in sorted({box.right for box in placed}):
        left = [box for box in placed if box.right <= edge]
        right = [box for box in placed if box.left > edge]
        across = len(placed) - len(left) - len(right)
        if (
            min(len(left), len(right)) >= COLUMN_LINES
            and across < min(len(left), len(right))
            and _side_by_side(left, right)
        ):
            return (edge + min(box.left for box in right)) / 2
    return None


def _side_by_side(left: list[_Placed], right: list[_Placed]) -> bool:
    prose = all(np.median([box.width / box.height for box in side]) >= PROSE_WIDTH for side in (left, right))
    top = max(min(box.top for box in side) for side in (left, right))
    bottom = min(max(box.bottom for box in side) for side in (left, right))
    return prose and bottom > top


def _rows(placed: list[_Placed]) -> list[Row]:
    """Boxes that stand beside each other, from top to bottom, each row from left to right."""
    rows: list[Row] = []
    for box in sorted(placed, key=_middle):
        if rows and any(_overlap(box, other) >= SAME_ROW * min(box.height, other.height) for other in rows[-1]):
            rows[-1].append(box)
        else:
            rows.append([box])
    return [sorted(row, key=lambda box: box.left) for row in rows]


def _text(rows: list[Row]) -> str:
    """Rows joined."""
    edge = max(row[-1].right for row in rows)
    text = _said(rows[0])
    for before, row in pairwise(rows):
        said = _said(row)
        gap = min(box.top for box in row) - max(box.bottom for box in before)
        if gap > PARAGRAPH_GAP * float(np.median([box.height for box in (*before, *row)])):
            text += f"\n\n{said}"
        elif _ended(before, row, edge):
            text += f"\n{said}"
        elif text.endswith("-") and text[-2:-1].isalpha() and said[:1].islower():
            text = text[:-1] + said
        else:
            text += f" {said}"
    return text


def _ended(before: Row, row: Row, edge: float) -> bool:
    """Whether a row was ended rather than full: one of a table, or the next row's first word would have fitted."""
    if _has_hole(before) or _has_hole(row):
        return True
    letter = row[0].width / max(1, len(row[0].line.text))
    first = len(row[0].line.text.split(" ", 1)[0])
    return edge - before[-1].right > (first + 3) * letter


def _has_hole(row: Row) -> bool:
    return any(right.left - left.right > HOLE * left.height for left, right in pairwise(row))


def _said(row: Row) -> str:
    return " ".join(box.line.text for box in row)


def _overlap(one: _Placed, other: _Placed) -> float:
    return min(one.bottom, other.bottom) - max(one.top, other.top)


def _middle(box: _Placed) -> float:
    return (box.top + box.bottom) / 2
