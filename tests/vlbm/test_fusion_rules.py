"""The rules of every fusion in the registry: identity at the start and without a picture, a gradient, a use of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import GPT2Config

import vlbm
from vlbm.fusion import Fusion, Memory, fusion, unit
from vlbm.fusion.base import rms
from vlbm.perception import Visual
from vlbm.training.optimiser import parameter_groups

WIDTH, SLOTS, TOKENS = 32, 5, 4
EVERYWHERE = torch.ones(2, TOKENS, dtype=torch.bool)
EVERY_FUSION = pytest.mark.parametrize("name", vlbm.list_fusions())


def make(name: str) -> tuple[Fusion, Memory, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    memory = Memory(
        content=unit(torch.randn(2, SLOTS, WIDTH)),
        previous=torch.zeros(2, SLOTS, WIDTH),
        traits=torch.randn(2, SLOTS, WIDTH),
        words=torch.tensor([[False, False, True, True, True]] * 2),
        mask=torch.tensor([[True] * 5, [True] * 3 + [False] * 2]),
    )
    layer = fusion(name)(width=WIDTH, heads=2, head_width=8)
    return layer, memory, torch.randn(2, TOKENS, WIDTH) * 9, unit(torch.randn(2, TOKENS, WIDTH))


def opened(layer: Fusion) -> Fusion:
    """The gates as training would open them."""
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if name.startswith(("alpha", "beta_offset", "gate")):
                parameter.add_(0.3 * torch.randn_like(parameter))
    return layer


@EVERY_FUSION
def test_a_new_one_changes_nothing(name: str) -> None:
    layer, memory, states, tokens = make(name)
    fused = layer(states, tokens, layer.prepare(memory), EVERYWHERE)
    assert torch.equal(fused.states, states)
    assert torch.equal(fused.weight, torch.zeros(2, TOKENS))


@EVERY_FUSION
def test_what_starts_at_zero_has_a_gradient_at_the_first_step(name: str) -> None:
    layer, memory, states, tokens = make(name)
    fused = layer(states, tokens, layer.prepare(memory), EVERYWHERE)
    (fused.states * torch.randn_like(states)).sum().backward()
    closed = {key: p for key, p in layer.named_parameters() if key in ("alpha", "beta_offset") or "gate" in key}
    started = [key for key, p in closed.items() if p.grad is not None and bool(p.grad.abs().max() > 0)]
    assert "alpha" in started or "gate.weight" in started


@EVERY_FUSION
def test_gates_do_not_decay(name: str) -> None:
    layer, *_ = make(name)
    named = [(f"fusions.0.{key}", parameter) for key, parameter in layer.named_parameters()]
    groups = parameter_groups(named, rate=1.0, gate_rate=1.0)
    kept = {id(parameter) for group in groups if not group["weight_decay"] for parameter in group["params"]}
    gates = [key for key, _ in named if "alpha" in key or "beta" in key or "gate" in key]
    assert gates
    assert all(id(parameter) in kept for key, parameter in named if key in gates)


@pytest.mark.parametrize("name", [name for name in vlbm.list_fusions() if name != "weighted_sum"])  # see test_fusion
def test_f_has_a_fixed_size(name: str) -> None:
    layer, memory, states, _ = make(name)
    found, attention = layer.read(layer.questions(unit(states), EVERYWHERE), layer.prepare(memory))
    assert torch.allclose(rms(found), torch.ones(2, TOKENS, 1), atol=1e-3)
    assert torch.allclose(attention.sum(dim=-1), torch.ones(2, TOKENS), atol=1e-5)


@EVERY_FUSION
def test_inactive_tokens_are_exactly_untouched(name: str) -> None:
    layer, memory, states, tokens = make(name)
    active = torch.tensor([[False, True, True, False], [False] * TOKENS])
    fused = opened(layer)(states, tokens, layer.prepare(memory), active)
    assert torch.equal(fused.states[~active], states[~active])
    assert not torch.equal(fused.states[active], states[active])
    assert ((fused.weight[active] > 0) & (fused.weight[active] < 1)).all()


@EVERY_FUSION
def test_masked_slots_have_no_say_and_others_have(name: str) -> None:
    layer, memory, states, tokens = make(name)
    opened(layer)

    def fused_with(row: int) -> torch.Tensor:
        changed = memory.content.clone()
        changed[1, row] = 7.0
        other = replace(memory, content=changed)
        result: torch.Tensor = layer(states, tokens, layer.prepare(other), EVERYWHERE).states
        return result

    before = layer(states, tokens, layer.prepare(memory), EVERYWHERE).states
    assert torch.equal(fused_with(4), before)
    assert not torch.equal(fused_with(0), before)


@EVERY_FUSION
def test_it_overfits_eight_pictures(name: str) -> None:
    model, visual = _tiny(name)
    ids = torch.tensor([[1, 2, answer, 3] for answer in range(10, 18)])  # only the picture tells the answer
    model.requires_grad_(True)
    optimiser = torch.optim.AdamW([p for n, p in model.named_parameters() if "encoder" not in n], lr=5e-3)
    for _ in range(150):
        optimiser.zero_grad()
        logits = model(input_ids=ids, visual=visual).logits
        if torch.equal(logits[:, 1].argmax(dim=-1), ids[:, 2]):
            break
        loss = torch.nn.functional.cross_entropy(logits[:, 1], ids[:, 2])
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert torch.equal(model(input_ids=ids, visual=visual).logits[:, 1].argmax(dim=-1), ids[:, 2])


@EVERY_FUSION
def test_it_says_what_it_did(name: str) -> None:
    model, visual = _tiny(name)
    for layer in model.fusions:
        opened(layer)
    ids = torch.arange(24).view(8, 3)
    out = model(input_ids=ids, visual=visual, fusion_from=torch.full((8,), 1), output_fusion=True)
    layers = len(model.fusions)
    assert out.fusion_alphas.shape == out.fusion_betas.shape == (layers, 8, 3)
    assert torch.equal(out.fusion_alphas[:, :, 0], torch.zeros(layers, 8))
    assert torch.equal(out.fusion_betas[:, :, 0], torch.ones(layers, 8))
    assert torch.equal(out.fusion_ratios, out.fusion_alphas / out.fusion_betas)
    assert (out.fusion_ratios[:, :, 1:] > 0).all()
    shares = out.fusion_ratios / (1 + out.fusion_ratios)
    assert torch.allclose(shares.mean(dim=0), out.image_weight, atol=1e-6)
    assert out.fusion_attentions.shape == (layers, 8, 3, 49)
    assert torch.allclose(out.fusion_attentions.sum(dim=-1), torch.ones(layers, 8, 3), atol=1e-5)
    plain = model(input_ids=ids, visual=visual)
    assert plain.fusion_alphas is plain.fusion_betas is plain.fusion_ratios is plain.fusion_attentions is None
    assert model(input_ids=ids, output_fusion=True).fusion_alphas is None


def test_alpha_and_beta_are_told_as_they_are() -> None:
    layer, memory, states, tokens = make("sum_scalar")
    with torch.no_grad():
        layer.alpha.fill_(-0.3)  # type: ignore[operator]
        layer.beta_offset.fill_(-0.2)  # type: ignore[operator]
    fused = layer(states, tokens, layer.prepare(memory), EVERYWHERE)
    assert torch.allclose(fused.alpha, torch.full((2, TOKENS), 0.3), atol=1e-3)
    assert torch.allclose(fused.beta, torch.full((2, TOKENS), 0.8), atol=1e-6)


def _tiny(name: str) -> tuple[Any, Visual]:
    torch.manual_seed(0)
    text = GPT2Config(n_layer=2, n_head=2, n_embd=32, vocab_size=32, n_positions=16, bos_token_id=0, eos_token_id=0)
    layers = [] if fusion(name).prompt_tokens else [0, 1]
    config = vlbm.VLBMConfig(text_config=text, fusion=name, fusion_layers=layers, fusion_heads=2, fusion_head_width=8)
    model = vlbm.VLBMForConditionalGeneration(config).eval()  # type: ignore[no-untyped-call]
    evidence = model.evidence(torch.zeros(8, 1000), torch.zeros(8, 1280))
    return model, Visual(grid=torch.randn(8, 49, 1280), evidence=evidence)
