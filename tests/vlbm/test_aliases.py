"""A thing is called as a question asks for it, where that is one of its likely names."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from vlbm.evidence.aliases import called, unaliased
from vlbm.evidence.asked import asked
from vlbm.evidence.marks import WORDS, Thing, marks_of, runs_of, slots_of
from vlbm.evidence.runs import ALIAS, ALL, COLOUR, THING, Evidence, lay_out

A, BOOK, LAPTOP, DOG, WOLF, UNKNOWN = range(1, 7)
SAME = torch.arange(60)
TOKENS = {word: 20 + place for place, word in enumerate(WORDS)}
BOXES = ((0.0, 0.0, 0.4, 0.4),), ((0.6, 0.0, 0.9, 0.4),)


def evidence(*aliases: tuple[tuple[int, float], ...]) -> Evidence:
    """Of a book and a dog beside it, with other names of each."""
    named = zip(((A, BOOK), (A, DOG)), (0.4, 0.3), BOXES, (0, 4), aliases, strict=True)
    things = [Thing(name, name, sure, boxes, (colour, 1.0), more) for name, sure, boxes, colour, more in named]
    return lay_out(runs_of([things])).beside(slots_of([marks_of(things, TOKENS, [A])]))


def names(found: Evidence) -> list[int]:
    """Last tokens of things' names."""
    return found.tokens[0][found.ends[0] & (found.kind[0] == THING)].tolist()


def question(*tokens: int) -> torch.Tensor:
    return torch.tensor([[*tokens, -1]])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((9, LAPTOP), [LAPTOP, DOG]),
        ((9, WOLF), [BOOK, WOLF]),
        ((LAPTOP, WOLF), [LAPTOP, WOLF]),
        ((9, BOOK), [BOOK, DOG]),
        ((LAPTOP, BOOK), [BOOK, DOG]),  # its own name is asked for too: then something else is the laptop
        ((UNKNOWN,), [BOOK, DOG]),
    ],
)
def test_a_thing_is_called_as_it_is_asked_for(words: tuple[int, ...], expected: list[int]) -> None:
    found = called(evidence(((LAPTOP, 0.2),), ((WOLF, 0.2),)), question(*words), SAME)
    assert names(found) == expected
    assert not (found.kind == ALIAS).any()
    colours = found.previous[0][found.kind[0] == COLOUR].tolist()
    assert colours == expected


def test_the_likelier_thing_has_the_name_and_none_that_another_goes_by() -> None:
    assert names(called(evidence(((WOLF, 0.1),), ((WOLF, 0.2),)), question(WOLF), SAME)) == [BOOK, WOLF]
    assert names(called(evidence(((DOG, 0.3),), ()), question(DOG), SAME)) == [BOOK, DOG]


def test_forms_of_a_word_are_one() -> None:
    same = SAME.clone()
    same[UNKNOWN] = LAPTOP  # "laptops"
    assert names(called(evidence(((LAPTOP, 0.2),), ()), question(UNKNOWN), same)) == [LAPTOP, DOG]


def test_what_is_asked_is_told_of_the_other_name() -> None:
    bare, both = evidence((), ()), evidence(((LAPTOP, 0.2),), ((WOLF, 0.2),))
    no_words = torch.full((ALL,), -1)
    for word, other in ((BOOK, LAPTOP), (DOG, WOLF)):
        expected = asked(bare, question(word), SAME, no_words)
        found = called(both, question(other), SAME)
        assert torch.equal(asked(found, question(other), SAME, no_words), expected)


def test_other_names_are_in_no_memory_without_a_question() -> None:
    bare, both = evidence((), ()), unaliased(evidence(((LAPTOP, 0.2),), ((WOLF, 0.2),)))
    for name in ("tokens", "previous", "kind", "rank", "confidence", "ends", "mask"):
        assert torch.equal(getattr(bare, name), getattr(both, name))
    assert called(bare, question(LAPTOP), SAME) is bare


def test_the_packaged_model_answers_of_a_thing_by_another_name(packaged: tuple[Any, Any]) -> None:
    """What is attended to with the other name in the question is what would be if it were the thing's own."""
    model, _ = packaged
    from vlbm.perception import Visual

    spec = model.config.encoder_spec
    grid = torch.zeros(1, spec.cells, spec.width)

    def attended(found: Evidence, *words: int) -> torch.Tensor:
        first, *_ = model.remember(Visual(grid, found), question(*words))
        return torch.cat([first.keys.flatten(), first.values.flatten()])

    own = evidence(((LAPTOP, 0.2),), ())
    renamed = called(own, question(LAPTOP), model.evidence.same)
    assert names(renamed) == [LAPTOP, DOG]
    assert torch.equal(attended(own, LAPTOP), attended(renamed, LAPTOP))
    assert not torch.equal(attended(own, LAPTOP), attended(own, UNKNOWN))
