"""What a text may go on with, guessed from itself: the words that followed when it last said the same.

Prompt look-up decoding (Saxena 2023, github.com/apoorvumang/prompt-lookup-decoding). A pass reads several tokens nearly
as fast as one, so a right guess is a token for nothing; which guesses are right the model itself says. It knows token
ids.
"""

from __future__ import annotations

from collections.abc import Sequence

ALIKE = 3
# Tokens that a pass reads nearly as fast as one.
TOGETHER = 4
# After a guess that was all wrong so many tokens are said without one.
REST = 8


def guess(tokens: Sequence[int], ahead: int, *, alike: int = ALIKE) -> list[int]:
    """The tokens that followed the latest earlier place that ends in the same `alike` tokens: at most `ahead`."""
    end = tuple(tokens[-alike:])
    if len(end) < alike:
        return []
    for place in range(len(tokens) - alike - 1, -1, -1):
        if tokens[place] == end[0] and tuple(tokens[place : place + alike]) == end:
            return list(tokens[place + alike : place + alike + ahead])
    return []
