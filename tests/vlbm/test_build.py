"""Models of parts of one's choice, and rows of several pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    GemmaConfig,
    GPTNeoXConfig,
    OPTConfig,
    PreTrainedConfig,
    Qwen2Config,
)

import vlbm
from tests.vlbm.conftest import opened
from vlbm.errors import ConfigError, WeightsMissing
from vlbm.language import context_tokens, from_scratch, language_model
from vlbm.model import VLBMForConditionalGeneration
from vlbm.perception import Visual, gather
from vlbm.tokenizer import train_tokenizer

TOKENIZER = train_tokenizer(["She saw the bat."], vocab_size=300)
SIZES = vlbm.Sizes(vocabulary=300, layers=2, width=32, heads=2, context=64)
GPT2 = vlbm.language_config("gpt2", SIZES)
COMMON: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
}
# Every family of the registry, and some that are only known by transformers.
LANGUAGE_MODELS: dict[str, PreTrainedConfig] = {
    **{name: vlbm.language_config(name, SIZES) for name in from_scratch()},
    "bloom": BloomConfig(vocab_size=300, hidden_size=32, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=1),
    "gemma": GemmaConfig(**COMMON, num_key_value_heads=1, head_dim=16),
    "gpt_neox": GPTNeoXConfig(**COMMON),
    "opt": OPTConfig(**COMMON, ffn_dim=64, word_embed_proj_dim=32, max_position_embeddings=64),
    "qwen2": Qwen2Config(**COMMON, num_key_value_heads=1),
}


def build(text: PreTrainedConfig, **options: Any) -> tuple[VLBMForConditionalGeneration, Any]:
    torch.manual_seed(0)
    small: dict[str, Any] = {"encoder": "resnet18", "encoder_weights": "random", "fusion_heads": 2}
    return vlbm.build(text, tokenizer=TOKENIZER, fusion_head_width=8, **(small | options))


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
@torch.inference_mode()
def test_every_language_model_is_fused_and_is_itself_without_a_picture(name: str) -> None:
    model, _ = build(LANGUAGE_MODELS[name])
    ids = torch.tensor([TOKENIZER("She saw the bat.")["input_ids"]])
    visual = model.look(torch.randn(1, 1, 3, 224, 224))
    bare = model.language_model(input_ids=ids).logits
    assert torch.equal(model(input_ids=ids, visual=visual).logits, bare)
    opened(model)
    assert torch.equal(model(input_ids=ids).logits, bare)
    assert not torch.allclose(model(input_ids=ids, visual=visual).logits, bare)
    assert context_tokens(model.config.text_config) >= 64
    alone = AutoModelForCausalLM.from_config(LANGUAGE_MODELS[name])  # type: ignore[no-untyped-call]
    assert model.language_model.state_dict().keys() == alone.state_dict().keys()


@torch.inference_mode()
def test_rows_of_several_pictures_are_padded_without_effect() -> None:
    model, _ = build(GPT2)
    opened(model)
    one, two = (model.look(torch.randn(1, 1, 3, 224, 224)) for _ in range(2))
    ids = torch.tensor([[5, 6, 7]])
    batch = gather([[one], [one, two], []])
    assert batch.grid.shape == (3, 98, 512)
    has = torch.tensor([True, True, False])
    got = model(input_ids=ids.expand(3, -1), visual=batch, has_picture=has).logits
    assert torch.allclose(got[0], model(input_ids=ids, visual=one).logits[0], atol=1e-5)
    assert not torch.allclose(got[1], got[0], atol=1e-4)
    assert torch.allclose(got[2], model(input_ids=ids).logits[0], atol=1e-6)
    assert isinstance(batch.to("cpu"), Visual)


@torch.inference_mode()
def test_a_loaded_language_model_keeps_its_weights(tmp_path: Path) -> None:
    model, _ = build(GPT2)
    model.language_model.save_pretrained(tmp_path)
    TOKENIZER.save_pretrained(tmp_path)
    again, processor = vlbm.build(tmp_path, encoder="resnet18", encoder_weights="random")
    ids = torch.tensor([[5, 6, 7]])
    assert torch.equal(again(input_ids=ids).logits, model(input_ids=ids).logits)
    assert processor.tokenizer("bat")["input_ids"] == TOKENIZER("bat")["input_ids"]
    assert again.config.fusion_layers == (1,)


@torch.inference_mode()
def test_encoder_weights_may_be_a_file(tmp_path: Path) -> None:
    model, _ = build(GPT2)
    torch.save(model.encoder.net.state_dict(), tmp_path / "resnet18.pth")  # type: ignore[union-attr]
    again, _ = build(GPT2, encoder_weights=tmp_path / "resnet18.pth")
    state = again.encoder.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in model.encoder.state_dict().items())


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="tokenizer must be given"):
        vlbm.build(GPT2)
    with pytest.raises(WeightsMissing, match="nowhere' is neither a folder nor a name"):
        vlbm.build(tmp_path / "nowhere")


def test_families_and_packaged_models_are_told_apart() -> None:
    with pytest.raises(ConfigError, match=r"comes trained, in one size: from scratch there are gpt2, gru, llama, lstm"):
        vlbm.language_config("smollm2-135m-instruct", SIZES)
    assert language_model("smollm2-135m-instruct").package
    with pytest.raises(ConfigError, match="dropout must be from 0 to below 1, got 1"):
        vlbm.Sizes(vocabulary=300, dropout=1.0)


@torch.inference_mode()
def test_packaged_weights_go_into_other_models(model: Any, processor: Any) -> None:
    """`model` and `processor` are the packaged ones: the language model inside is the same, the rest is new."""
    other, others = vlbm.build(
        "smollm2-135m-instruct", encoder="resnet18", encoder_weights="random", fusion="sum_scalar", fusion_layers=(20,)
    )
    ids = processor(text="The capital of France is")["input_ids"]
    assert torch.equal(others(text="The capital of France is")["input_ids"], ids)
    assert torch.allclose(other(input_ids=ids).logits, model(input_ids=ids).logits, atol=1e-3)
