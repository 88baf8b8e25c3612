"""Evidence is told what the question asks about, and the answer is never taken for the question."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from vlbm.data.records import Example
from vlbm.evaluation.answers import prompts
from vlbm.evidence.asked import asked, folded, question_in, relation_words
from vlbm.evidence.marks import WORDS, Thing, marks_of, slots_of
from vlbm.evidence.runs import ABOVE, ALL, BELOW, BIGGER, COLOUR, LEFT, RIGHT, START, THING, Evidence, Runs, lay_out
from vlbm.perception import Visual
from vlbm.training.encoded import collate, encode

DOG, CAT = "dog", "cat"
NO_WORDS = torch.full((ALL,), -1)
NO_MARKS = dict.fromkeys(WORDS, -1)


def things(names: list[list[int]], marks: list[tuple[int, int]]) -> Evidence:
    """Evidence of one picture: names, and marks as (token, token before)."""
    length = max(len(name) for name in names)
    tokens = torch.tensor([[name + [-1] * (length - len(name)) for name in names]])
    ones = torch.ones(tokens.shape[:2])
    laid = lay_out(Runs(tokens, ones.long() * THING, ones.long() * 0, ones))
    said, before = (torch.tensor([[mark[place] for mark in marks]], dtype=torch.long) for place in (0, 1))
    there = torch.ones_like(said, dtype=torch.bool)
    return laid.beside(Evidence(said, before, torch.full_like(said, COLOUR), said * 0, said * 0 + 1.0, ~there, there))


@pytest.fixture(scope="module")
def same(packaged: tuple[Any, Any]) -> torch.Tensor:
    model, processor = packaged
    return folded(processor.tokenizer, len(model.evidence.same))


def test_words_are_folded(packaged: tuple[Any, Any], same: torch.Tensor) -> None:
    tokenizer = packaged[1].tokenizer

    def fold(text: str) -> list[str]:
        return [tokenizer.decode([int(same[token])]) for token in tokenizer(text)["input_ids"]]

    assert fold(" cats") == fold("Cat") == fold("Cats") == [" cat"]
    assert fold(" mice and boxes") == [" mouse", " and", " box"]
    assert fold(" glass") == [" glass"]
    assert fold("Is the bus") == [" is", " the", " bus"]
    assert int(same[same.long()].ne(same).sum()) == 0  # what stands for others stands for itself


def test_the_packaged_model_carries_them(packaged: tuple[Any, Any], same: torch.Tensor) -> None:
    assert torch.equal(packaged[0].evidence.same, same)


def test_the_name_that_is_asked_for_and_what_stands_after_it() -> None:
    a, cat, dog, red, blue = 1, 2, 3, 4, 5
    evidence = things([[a, cat], [a, dog]], [(red, cat), (blue, dog)])
    found = asked(evidence, torch.tensor([[9, cat, -1]]), torch.arange(10), NO_WORDS)
    slots = zip(evidence.tokens[0].tolist(), evidence.previous[0].tolist(), evidence.ends[0].tolist(), strict=True)
    told = {slot: tuple(row) for slot, row in zip(slots, found[0].tolist(), strict=True)}
    assert told == {
        (a, START, False): (0, 0, 0, 0, 0, 0),
        (cat, a, False): (1, 0, 0, 0, 0, 0),
        (cat, cat, True): (0, 1, 0, 0, 0, 0),  # the end of a name is no word, but stands after one
        (dog, a, False): (0, 0, 0, 0, 0, 0),
        (dog, dog, True): (0, 0, 0, 0, 0, 0),
        (red, cat, False): (0, 1, 0, 0, 0, 0),
        (blue, dog, False): (0, 0, 0, 0, 0, 0),
    }


@pytest.mark.parametrize(
    ("question", "told"),
    [
        (" Is the hot dog above the cat?", {(DOG, ABOVE): (1, 1, 1, 1, 1, 0), (CAT, BELOW): (1, 1, 0, 0, 0, 0)}),
        (" Is the hot dog below the cat?", {(DOG, ABOVE): (1, 1, 1, 0, 0, 0), (CAT, BELOW): (1, 1, 0, 1, 0, 1)}),
        (" Is the cat above the hot dog?", {(DOG, ABOVE): (1, 1, 0, 1, 0, 1), (CAT, BELOW): (1, 1, 1, 0, 0, 0)}),
        (" Are the dogs to the left of the cat?", {(DOG, ABOVE): (1, 1, 1, 0, 0, 0), (CAT, BELOW): (1, 1, 0, 0, 0, 0)}),
        (" What is above the cat?", {(DOG, ABOVE): (0, 1, 0, 1, 0, 0), (CAT, BELOW): (1, 0, 0, 0, 0, 0)}),
    ],
)
def test_a_relation_is_told_who_is_asked_for_first_and_its_word(
    question: str, told: dict[tuple[str, int], tuple[int, ...]], packaged: tuple[Any, Any], same: torch.Tensor
) -> None:
    """A thing of two words is asked for by its last; a mark has the first."""
    tokenizer = packaged[1].tokenizer
    names = [tuple(tokenizer(name)["input_ids"]) for name in (" a hot dog", " a cat")]
    places = [((0.4, 0.1, 0.6, 0.3),), ((0.4, 0.6, 0.6, 0.8),)]
    one, other = (Thing(name, name, 0.9, place, (0, 0.5)) for name, place in zip(names, places, strict=True))
    article = names[0][0]
    laid = things([list(name) for name in names], [])
    rank = torch.tensor([[0] * 4 + [1] * 3])
    evidence = replace(laid, rank=rank).beside(slots_of([marks_of([one, other], NO_MARKS, [article])]))
    found = asked(evidence, torch.tensor([tokenizer(question)["input_ids"]]), same, relation_words(tokenizer))
    by_rank = {0: DOG, 1: CAT}
    relations = {
        (by_rank[rank], kind): tuple(row)
        for rank, kind, row in zip(evidence.rank[0].tolist(), evidence.kind[0].tolist(), found[0].tolist(), strict=True)
        if LEFT <= kind <= BELOW
    }
    assert relations == told


def test_every_relation_has_its_word(packaged: tuple[Any, Any]) -> None:
    model, processor = packaged
    words = relation_words(processor.tokenizer)
    assert torch.equal(words, model.evidence.relations)
    said = {kind: processor.tokenizer.decode([int(words[kind])]).strip() for kind in range(ALL) if words[kind] >= 0}
    assert said == {LEFT: "left", RIGHT: "right", ABOVE: "above", BELOW: "below", BIGGER: "bigger"}


def test_no_evidence_is_asked_about() -> None:
    nothing = things([[0, 1]], []).map(lambda value: value[:, :0])
    assert asked(nothing, torch.tensor([[0, 1]]), torch.arange(10), NO_WORDS).shape == (1, 0, 6)


def test_padding_asks_for_nothing() -> None:
    evidence = things([[0, 1]], [(2, 1)])
    assert asked(evidence, torch.tensor([[-1, -1]]), torch.arange(10), NO_WORDS).sum() == 0
    unused = replace(evidence, mask=torch.zeros_like(evidence.mask))
    assert asked(unused, torch.tensor([[0, 1]]), torch.arange(10), NO_WORDS).sum() == 0


def test_the_question_is_what_stands_between_its_start_and_the_answer() -> None:
    ids = torch.tensor([[5, 6, 7, 8], [5, 6, 7, 8]])
    assert question_in(None) is None
    assert question_in(ids) is not None
    mask, start = torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1]]), torch.tensor([1, 2])
    labels = torch.tensor([[-100, -100, -100, 8], [-100, -100, 7, 8]])
    found = question_in(ids, mask=mask, start=start, labels=labels)
    assert found is not None
    assert found.tolist() == [[-1, 6, 7, -1], [-1, -1, -1, -1]]
    after = question_in(ids[:1, 2:], past=2, mask=mask[:1], start=torch.tensor([3]))
    assert after is not None
    assert after.tolist() == [[-1, 8]]
    beams = question_in(ids, start=torch.tensor([2]))
    assert beams is not None
    assert beams.tolist() == [[-1, -1, 7, 8]] * 2


def test_training_generation_and_a_bare_forward_ask_the_same(packaged: tuple[Any, Any]) -> None:
    model, processor = packaged
    grid = torch.zeros(1, 81, 1280)
    tokens = [processor.tokenizer(text)["input_ids"] for text in (" a cat", " a dog")]
    visual = Visual(grid, things(tokens, [(tokens[0][-1], tokens[1][-1])]))
    rows = [
        encode(processor, Example((), "Yes.", "chat", text), [visual], context=256)
        for text in ("Is there a cat?", "Do you see any dogs here?")
    ]
    batch = collate(rows)
    given = {name: value for name, value in batch.items() if name != "question"}
    with torch.inference_mode():
        wanted = model(**batch).logits
        assert torch.equal(model(**given).logits, wanted)  # found by the labels
        asks = prompts(rows)
        told = model(**asks).logits[:, -1]
        del asks["question"]
        assert torch.equal(model(**asks).logits[:, -1], told)
        nothing = model(**{**batch, "question": torch.full_like(batch["question"], -1)}).logits
    assert not torch.equal(nothing, wanted)


def test_one_picture_asked_about_twice_is_remembered_twice(packaged: tuple[Any, Any]) -> None:
    model, processor = packaged
    cat, dog = (processor.tokenizer(text)["input_ids"] for text in (" cat", " dog"))
    visual = Visual(torch.zeros(1, 81, 1280), things([cat, dog], [(cat[0], dog[0])]))
    with torch.inference_mode():
        both = model.remember(visual, torch.tensor([cat, dog]))
        alone = [model.remember(visual, torch.tensor([name])) for name in (cat, dog)]
    assert both[0].keys.shape[0] == 2
    for row, one in enumerate(alone):
        assert torch.allclose(both[0].keys[row], one[0].keys[0], atol=1e-5)
    assert not torch.allclose(both[0].keys[0], both[0].keys[1], atol=1e-3)
