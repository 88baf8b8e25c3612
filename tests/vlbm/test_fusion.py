"""The rules of the fusion: exact identity where it should be, a gradient from the first step, bounded shares."""

from __future__ import annotations

import pytest
import torch

from vlbm.errors import ConfigError
from vlbm.fusion import Memory, WeightedSum, fusion, unit

WIDTH, SLOTS, TOKENS = 32, 5, 4


def make() -> tuple[WeightedSum, Memory, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    layer = WeightedSum(width=WIDTH, heads=2, head_width=8)
    mask = torch.ones(2, SLOTS, dtype=torch.bool)
    mask[1, 3:] = False
    memory = Memory(
        content=unit(torch.randn(2, SLOTS, WIDTH)),
        previous=unit(torch.randn(2, SLOTS, WIDTH)),
        traits=torch.randn(2, SLOTS, WIDTH),
        words=torch.tensor([[False, False, True, True, True]] * 2),
        mask=mask,
    )
    return layer, memory, torch.randn(2, TOKENS, WIDTH) * 9, unit(torch.randn(2, TOKENS, WIDTH))


def test_a_new_fusion_changes_nothing() -> None:
    layer, memory, states, tokens = make()
    fused = layer(states, tokens, layer.prepare(memory), torch.ones(2, TOKENS, dtype=torch.bool))
    assert torch.equal(fused.states, states)
    assert torch.equal(fused.weight, torch.zeros(2, TOKENS))


def test_alpha_has_a_gradient_at_the_first_step() -> None:
    layer, memory, states, tokens = make()
    fused = layer(states, tokens, layer.prepare(memory), torch.ones(2, TOKENS, dtype=torch.bool))
    (fused.states * torch.randn_like(states)).sum().backward()
    assert layer.alpha.grad is not None
    assert layer.alpha.grad.abs().min() > 0
    assert layer.beta_offset.grad is not None
    assert layer.beta_offset.grad.abs().min() > 0


def test_inactive_tokens_are_exactly_untouched() -> None:
    layer, memory, states, tokens = make()
    with torch.no_grad():
        layer.alpha.fill_(0.5)
        layer.beta_offset.fill_(-0.3)
    active = torch.tensor([[False, True, True, False], [False] * TOKENS])
    fused = layer(states, tokens, layer.prepare(memory), active)
    assert torch.equal(fused.states[~active], states[~active])
    assert not torch.equal(fused.states[active], states[active])
    assert torch.equal(fused.weight[~active], torch.zeros(int((~active).sum())))
    assert ((fused.weight[active] > 0) & (fused.weight[active] < 1)).all()


def test_masked_slots_have_no_say() -> None:
    layer, memory, states, tokens = make()
    with torch.no_grad():
        layer.alpha.fill_(0.5)
    active = torch.ones(2, TOKENS, dtype=torch.bool)
    before = layer(states, tokens, layer.prepare(memory), active).states
    changed = memory.content.clone()
    changed[1, 3:] = 7.0
    other = Memory(changed, memory.previous, memory.traits, memory.words, memory.mask)
    assert torch.equal(layer(states, tokens, layer.prepare(other), active).states, before)


def test_f_has_the_norm_of_m() -> None:
    layer, memory, states, tokens = make()
    with torch.no_grad():
        layer.alpha.fill_(1.0)
        layer.gate.weight.zero_()
        layer.gate.bias.fill_(100.0)
    fused = layer(states, tokens, layer.prepare(memory), torch.ones(2, TOKENS, dtype=torch.bool))
    assert torch.allclose((fused.states - states).norm(dim=-1), states.norm(dim=-1), rtol=1e-3)
    assert torch.allclose(fused.weight, torch.full((2, TOKENS), 0.5), atol=1e-3)


def test_bad_sizes_and_names_are_said() -> None:
    with pytest.raises(ConfigError, match="0 heads of 8"):
        WeightedSum(width=8, heads=0, head_width=8)
    with pytest.raises(ConfigError, match=r"'sum'.*weighted_sum"):
        fusion("sum")
