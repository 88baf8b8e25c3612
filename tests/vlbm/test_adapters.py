"""LoRA on the language model acts where a picture or a task asks for it, and nowhere else: a rule for every fusion."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import vlbm
from tests.vlbm.test_build import LANGUAGE_MODELS, TOKENIZER
from vlbm.errors import ConfigError

# peft asks transformers for it.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
IDS = torch.tensor([[5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17]])
TARGETS = {"gpt2": "c_attn", "llama": "q_proj"}


def adapted(language_model: str, fusion: str) -> tuple[Any, Any]:
    """A model with LoRA that was trained, in so far as its B is not zero, and the bare language model's logits."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    model, _ = vlbm.build(
        LANGUAGE_MODELS[language_model],
        tokenizer=TOKENIZER,
        encoder="resnet18",
        encoder_weights="random",
        fusion=fusion,
        fusion_heads=2,
        fusion_head_width=8,
    )
    with torch.no_grad():
        bare = model.language_model(input_ids=IDS).logits
    config = LoraConfig(r=2, target_modules=[TARGETS[language_model]], fan_in_fan_out=language_model == "gpt2")
    made = get_peft_model(model, config)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    return made.eval(), bare


@pytest.mark.parametrize("fusion", vlbm.list_fusions())
@torch.no_grad()
def test_adapters_leave_text_alone_and_act_on_answers_about_pictures(fusion: str) -> None:
    model, bare = adapted("gpt2", fusion)
    assert not torch.allclose(model(input_ids=IDS).logits, bare)  # ungated it is another language model
    assert vlbm.gate_adapters(model) == 2
    assert torch.equal(model(input_ids=IDS).logits, bare)
    visual = model.base_model.model.look(torch.randn(1, 1, 3, 224, 224))
    start = torch.tensor([6])
    # The fusion is untrained: whatever changes is the adapters' doing.
    shown = model(input_ids=IDS, visual=visual, fusion_from=start).logits
    assert torch.equal(shown[:, :6], bare[:, :6])
    assert not torch.allclose(shown[:, 6:], bare[:, 6:])
    blind = model(input_ids=IDS, visual=visual, fusion_from=start, has_picture=torch.tensor([False])).logits
    assert torch.equal(blind, bare)


@pytest.mark.parametrize("language_model", ["gpt2", "llama"])
@torch.no_grad()
def test_a_task_of_text_may_ask_for_them(language_model: str) -> None:
    model, bare = adapted(language_model, "sum_scalar")
    everywhere = model(input_ids=IDS).logits
    vlbm.gate_adapters(model)
    with vlbm.adapters_everywhere():
        assert torch.equal(model(input_ids=IDS).logits, everywhere)
    assert torch.equal(model(input_ids=IDS).logits, bare)


def test_gated_adapters_learn_from_pictures() -> None:
    model, _ = adapted("gpt2", "sum_channel")
    vlbm.gate_adapters(model)
    visual = model.base_model.model.look(torch.randn(1, 1, 3, 224, 224))
    model(input_ids=IDS, visual=visual, labels=IDS, fusion_from=torch.tensor([6])).loss.backward()
    grads = [p.grad for name, p in model.named_parameters() if "lora_" in name]
    assert grads
    assert all(grad is not None and bool(grad.abs().max() > 0) for grad in grads)


def test_a_model_without_adapters_is_said() -> None:
    with pytest.raises(ConfigError, match=r"no LoRA layers: give what peft\.get_peft_model made of it"):
        vlbm.gate_adapters(torch.nn.Linear(1, 1))
