"""A visual memory: neighbours vote, captions come in the wanted language, and what is lent is trusted more."""

from __future__ import annotations

import math

import pytest
import torch

from vlbm.config import VLBMConfig
from vlbm.evidence.neighbours import TRUST, VisualMemory

WIDTH, LENGTH = 4, 2


def memory(*, pictures: int, space: int = 0) -> VisualMemory:
    config = VLBMConfig(
        text_config={"model_type": "gpt2", "n_layer": 2},
        fusion_layers=(1,),
        languages=("en", "de"),
        memory_pictures=pictures,
        memory_width=space,
        caption_tokens=LENGTH,
    )
    return VisualMemory(config, width=WIDTH)


def filled() -> VisualMemory:
    """Two pictures of thing 7, one of thing 8 and one of thing 9, which has no caption in the second language."""
    made = memory(pictures=4)
    made.features.copy_(torch.tensor([[1, 0, 0, 0], [0.6, 0.8, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]))
    made.tokens[0, :, 0] = torch.tensor([7, 7, 8, 9])
    made.tokens[1, :, 0] = torch.tensor([70, 70, 80, -1])
    made.caption.copy_(torch.tensor([0, 0, 1, 2]))
    return made


def test_pictures_of_one_thing_vote_together() -> None:
    made = filled()
    made.vote.copy_(torch.tensor([2.0, 0.5]))
    tokens, chance = made.find(torch.tensor([[1.0, 0, 0, 0]]), torch.zeros(1, dtype=torch.long))
    assert tokens[0, :, 0].tolist()[0] == 7
    votes = [math.exp(2 * (likeness - 0.5)) for likeness in (1, 0.6, 0, 0)]
    assert chance[0, 0].item() == pytest.approx((votes[0] + votes[1]) / (1 + sum(votes)), abs=1e-5)
    assert sorted(tokens[0, :, 0].tolist()) == [7, 8, 9]
    assert chance.sum() < 1


def test_captions_come_in_the_wanted_language_and_else_in_the_first() -> None:
    both = torch.tensor([[0.0, 0, 1, 0], [0.0, 0, 0, 1]])
    tokens, _ = filled().find(both, torch.tensor([1, 1]))
    assert tokens[:, 0, 0].tolist() == [80, 9]
    tokens, _ = filled().find(both, torch.tensor([0, 0]))
    assert tokens[:, 0, 0].tolist() == [8, 9]


def test_what_is_left_out_is_not_found() -> None:
    exclude = torch.tensor([[True, True, False, False]])
    tokens, chance = filled().find(torch.tensor([[1.0, 0, 0.5, 0]]), torch.zeros(1, dtype=torch.long), exclude=exclude)
    assert tokens[0, 0, 0] == 8
    assert 7 not in tokens[0, chance[0] > 1e-6, 0].tolist()


def test_a_learned_space_decides_what_is_alike() -> None:
    made = memory(pictures=1, space=2)
    made.space.copy_(torch.tensor([[0.0, 0, 1, 0], [0, 0, 0, 1]]))
    made.mean.copy_(torch.tensor([5.0, 5, 0, 0]))
    direction = made.direction(torch.tensor([[9.0, 1, 3, 0]]))
    assert torch.allclose(direction, torch.tensor([[1.0, 0]]))
    with torch.no_grad():
        made.scale.copy_(torch.tensor([1.0, 1, 1, 3]))
    assert torch.allclose(made.direction(torch.tensor([[5.0, 5, 3, 1]])), torch.full((1, 2), math.sqrt(0.5)))


def test_lent_pictures_are_found_beside_the_own_and_trusted_more() -> None:
    made = filled()
    tokens = torch.tensor([[[5, -1]], [[50, -1]]])
    made.lend(torch.tensor([[0.0, 0, 2, 0]]), tokens)
    assert len(made.features) == 5
    assert made.caption.tolist()[-1] == 3
    likeness = made.likeness(torch.tensor([[0.0, 0, 1, 0]]))
    assert likeness[0, 4].item() == pytest.approx(likeness[0, 2].item() + TRUST)
    found, _ = made.find(torch.tensor([[0.0, 0, 1, 0]]), torch.tensor([1]))
    assert found[0, 0, 0] == 50


def test_what_is_lent_to_one_look_up_is_found_as_if_it_were_lent_for_good_and_then_forgotten() -> None:
    styles, tokens = (
        torch.tensor([[0.0, 0, 2, 0], [0, 0, 0, 1]]),
        torch.tensor([[[5, -1], [5, -1]], [[50, -1], [-1, -1]]]),
    )
    asked, languages = torch.tensor([[0.0, 0, 1, 0], [1.0, 0, 0, 0.5]]), torch.tensor([1, 0])
    made, for_good = filled(), filled()
    before = made.find(asked, languages)
    for_good.lend(styles, tokens)
    lent = made.taught(styles, tokens)
    wanted, found = for_good.find(asked, languages), made.find(asked, languages, lent=lent)
    assert found[0][0, 0, 0] == 50
    assert all(torch.equal(one, other) for one, other in zip(wanted, found, strict=True))
    assert all(torch.equal(one, other) for one, other in zip(before, made.find(asked, languages), strict=True))
    nothing = torch.ones(2, 4, dtype=torch.bool)
    only, chance = made.find(asked, languages, lent=lent, exclude=nothing)
    assert set(only[chance > 0.01][:, 0].tolist()) == {5, 50}


def test_a_lent_memory_is_told_by_what_is_in_it() -> None:
    made, styles, tokens = filled(), torch.tensor([[0.0, 0, 2, 0]]), torch.tensor([[[5, -1]], [[50, -1]]])
    one = made.taught(styles, tokens)
    assert made.taught(styles.clone(), tokens.clone()).id == one.id
    assert made.taught(styles, tokens + 1).id != one.id
    assert made.taught(styles.flip(1), tokens).id != one.id
    assert memory(pictures=0).find(styles, torch.tensor([0]), lent=one)[0][0, 0, 0] == 5
