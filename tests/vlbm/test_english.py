"""English nouns: plurals, articles, and the bare name in a caption."""

from __future__ import annotations

import pytest

from vlbm.data.english import countable, indefinite, plural, plural_already


@pytest.mark.parametrize(
    ("name", "many"),
    [
        ("cat", "cats"),
        ("box", "boxes"),
        ("cherry", "cherries"),
        ("monkey", "monkeys"),
        ("mouse", "mice"),
        ("computer mouse", "computer mice"),
        ("woman farmer", "women farmers"),
        ("snowman", "snowmen"),
        ("human", "humans"),
        ("butterflyfish", "butterflyfish"),
        ("tomato", "tomatoes"),
        ("piano", "pianos"),
        ("octopus", "octopuses"),
        ("bottle of wine", "bottles of wine"),
        ("grapes", "grapes"),
        ("cooked rice", "cooked rice"),
    ],
)
def test_plurals(name: str, many: str) -> None:
    assert plural(name) == many


def test_what_is_plural_or_not_counted_has_no_article() -> None:
    assert [indefinite(name) for name in ("owl", "glass", "grapes", "scissors", "bread", "garlic")] == [
        *("an owl", "a glass", "grapes", "scissors", "bread", "garlic"),
    ]
    assert [name for name in ("bus", "glass", "lens", "grapes", "mice") if plural_already(name)] == ["grapes", "mice"]
    assert [name for name in ("cat", "bread", "ice cream", "jeans") if countable(name)] == ["cat"]
