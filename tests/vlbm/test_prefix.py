"""A fusion of the prompt: tokens stand for the picture, in training, in generation and in the engine alike."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from PIL import Image

import vlbm
from tests.vlbm.conftest import drawn, picture_ref
from vlbm.data.records import Example
from vlbm.engine import Engine, GenerationRequest, Looked, Message, Token
from vlbm.errors import ConfigError
from vlbm.pictures import open_picture
from vlbm.tokenizer import train_tokenizer
from vlbm.training.encoded import collate, encode

TOKENIZER = train_tokenizer(["What is it? Describe the picture.", "assistant user"], vocab_size=300)
SIZES = vlbm.Sizes(vocabulary=300, layers=2, width=32, heads=2, context=256, dropout=0.0)
CHAT = [{"role": "user", "content": "What is it?"}]


@pytest.fixture
def made() -> tuple[Any, Any]:
    torch.manual_seed(0)
    model, processor = vlbm.build(
        vlbm.language_config("gpt2", SIZES),
        tokenizer=TOKENIZER,
        encoder="resnet18",
        encoder_weights="random",
        fusion="prefix",
        fusion_heads=2,
        fusion_head_width=8,
    )
    with torch.no_grad():
        model.fusions[0].alpha.fill_(0.5)  # type: ignore[operator]
    return model, processor


def test_tokens_stand_for_the_picture_and_only_they_are_fused(made: tuple[Any, Any]) -> None:
    model, processor = made
    text = processor.apply_chat_template(CHAT, tokenize=False, add_generation_prompt=True)
    plain, shown = processor(text=text), processor(images=open_picture(drawn()), text=text)
    assert shown["input_ids"].shape[1] == plain["input_ids"].shape[1] + 10
    assert "fusion_from" not in plain
    out = model(**shown, output_fusion=True)
    assert (out.fusion_alphas[0, 0, :10] > 0).all()
    assert torch.equal(out.fusion_alphas[0, 0, 10:], torch.zeros(plain["input_ids"].shape[1]))
    blind = {key: value for key, value in shown.items() if key not in ("pixel_values", "fusion_from")}
    bare = model.language_model(**blind).logits
    assert torch.equal(model(**blind).logits, bare)
    assert not torch.allclose(out.logits[0, -1], bare[0, -1])
    with torch.no_grad():
        model.fusions[0].alpha.zero_()
    assert torch.equal(model(**shown).logits, bare)


def test_padding_of_any_token_does_not_move_the_prefix(made: tuple[Any, Any]) -> None:
    _, processor = made
    processor.tokenizer.pad_token = processor.tokenizer.bos_token  # as people do for GPT-2
    pictures = [open_picture(drawn("red")), open_picture(drawn("blue"))]
    both = processor(images=pictures, text=["What is it?", "What is it? Describe the picture."], padding=True)
    assert both["fusion_from"].tolist() == [int((both["attention_mask"][0] == 0).sum()), 0]
    assert both["fusion_from"][0] > 0


def test_training_and_the_engine_ask_in_the_same_words(made: tuple[Any, Any]) -> None:
    model, processor = made
    visual = model.look(processor.image_processor(open_picture(drawn()))["pixel_values"])
    row = encode(processor, Example((), "It.", "chat", "What is it?"), [visual], context=256)
    blind = encode(processor, Example((), "It.", "chat", "What is it?"), [], context=256)
    assert row.prompt[10:] == blind.prompt
    assert row.fusion_from == 0
    engine = Engine(model, processor)
    messages = (Message("user", "What is it?", (picture_ref(drawn()),)),)
    assert engine.count_tokens(messages) == len(row.prompt)
    assert engine.count_tokens((Message("user", "What is it?"),)) == len(blind.prompt)
    assert engine.describe().image_tokens == 10
    steps = list(engine.generate(GenerationRequest(messages, max_tokens=6)))
    assert any(isinstance(step, Looked) for step in steps)
    said = [step.token_id for step in steps if isinstance(step, Token)]
    inputs = {"input_ids": torch.tensor([row.prompt]), "fusion_from": torch.tensor([0])}
    wanted = model.generate(
        **inputs,
        attention_mask=torch.ones_like(inputs["input_ids"]),
        memories=model.remember(visual),
        max_new_tokens=6,
        do_sample=False,
        pad_token_id=2,
    )[0, len(row.prompt) :].tolist()
    assert said == [token for token in wanted if token != 1]
    batch = collate([row, blind])
    assert batch["has_picture"].tolist() == [True, False]
    apart = model(**collate([blind])).logits[0, : len(blind.prompt)]
    assert torch.allclose(model(**batch).logits[1, : len(blind.prompt)], apart, atol=1e-5)


def test_saved_and_loaded_it_asks_the_same(made: tuple[Any, Any], tmp_path: Any) -> None:
    model, processor = made
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    again, reloaded = vlbm.load(tmp_path)
    picture = Image.new("RGB", (64, 64), "red")
    inputs, others = (one(images=picture, text="What?") for one in (processor, reloaded))
    assert torch.equal(inputs["input_ids"], others["input_ids"])
    assert torch.allclose(again(**others).logits, model(**inputs).logits, atol=1e-5)


@pytest.mark.parametrize(
    ("fusion", "layers", "message"),
    [
        ("prefix", [0], "prefix acts on the prompt, not on layers: fusion_layers must be empty"),
        ("sum_scalar", [], "sum_scalar acts on layers: fusion_layers must name at least one"),
    ],
)
def test_layers_must_fit_the_fusion(fusion: str, layers: list[int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        vlbm.VLBMConfig(text_config=vlbm.language_config("gpt2", SIZES), fusion=fusion, fusion_layers=layers)
