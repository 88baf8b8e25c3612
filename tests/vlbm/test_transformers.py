"""The model is a model of transformers: saved, loaded, generated from, put in a pipeline, trained by its Trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    GPT2Config,
    Trainer,
    TrainingArguments,
    pipeline,
)

import vlbm
from tests.vlbm.conftest import aligned, drawn, opened
from vlbm.errors import ConfigError, WeightsDamaged, WeightsMissing
from vlbm.pictures import open_picture
from vlbm.tokenizer import train_tokenizer

TOKENIZER = train_tokenizer(["Describe the picture.", "A red disc.", "assistant user"], vocab_size=300)
MESSAGES = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]}]


@pytest.fixture
def made() -> tuple[Any, Any]:
    torch.manual_seed(0)
    text = GPT2Config(n_layer=2, n_head=2, n_embd=32, n_positions=128, vocab_size=300, bos_token_id=0, eos_token_id=1)
    model, processor = vlbm.build(
        text,
        tokenizer=TOKENIZER,
        encoder="resnet18",
        encoder_weights="random",
        fusion="sum_channel",
        fusion_heads=2,
        fusion_head_width=8,
    )
    return opened(model), processor


@pytest.fixture
def picture() -> Image.Image:
    return open_picture(drawn())


def asked(processor: Any, picture: Any) -> Any:
    text = processor.apply_chat_template(MESSAGES, tokenize=False, add_generation_prompt=True)
    return processor(images=picture, text=text)


@torch.inference_mode()
def test_saved_and_loaded_by_its_auto_classes_it_says_the_same(
    made: tuple[Any, Any], picture: Image.Image, tmp_path: Path
) -> None:
    model, processor = made
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    loaded: Any = AutoModelForImageTextToText.from_pretrained(tmp_path)
    again = AutoProcessor.from_pretrained(tmp_path)  # type: ignore[no-untyped-call]
    assert type(again) is vlbm.VLBMProcessor
    inputs = asked(processor, picture)
    reloaded = asked(again, picture)
    assert all(torch.equal(inputs[key], reloaded[key]) for key in inputs)
    assert torch.allclose(loaded(**reloaded).logits, model(**inputs).logits, atol=1e-5)
    assert torch.equal(aligned(loaded)(**reloaded).logits, model(**inputs).logits)
    assert (tmp_path / "model.safetensors").is_file()


@pytest.mark.parametrize("options", [{"do_sample": False}, {"num_beams": 3}, {"do_sample": True, "top_k": 5}])
def test_it_generates_with_a_picture(made: tuple[Any, Any], picture: Image.Image, options: dict[str, Any]) -> None:
    model, processor = made
    inputs = asked(processor, picture)
    torch.manual_seed(0)
    said = model.generate(**inputs, max_new_tokens=6, pad_token_id=2, **options)
    assert said.shape[1] > inputs["input_ids"].shape[1]
    if options == {"do_sample": False}:
        logits = model(**{**inputs, "input_ids": said[:, :-1], "attention_mask": None}).logits
        start = inputs["input_ids"].shape[1]
        assert torch.equal(logits[0, start - 1 :].argmax(dim=-1), said[0, start:])


def test_a_text_may_have_several_pictures_or_none(made: tuple[Any, Any], picture: Image.Image) -> None:
    model, processor = made
    blue = open_picture(drawn("blue"))
    one, both = processor(images=picture, text="What?"), processor(images=[picture, blue], text="What?")
    assert "pictures" not in one
    assert both["pictures"].tolist() == [2]
    assert not torch.allclose(model(**both).logits, model(**one).logits)
    turned = processor(images=[[blue, picture]], text=["What?"])
    assert torch.allclose(model(**turned).logits, model(**both).logits, atol=1e-5)  # no order is told in this fusion
    rows = processor(images=[[picture, blue], [picture], []], text=["What?"] * 3)
    assert rows["has_picture"].tolist() == [True, True, False]
    logits = model(**rows).logits
    alone = [model(**inputs).logits[0] for inputs in (both, one, processor(text="What?"))]
    assert all(torch.allclose(row, other, atol=1e-5) for row, other in zip(logits, alone, strict=True))
    said = model.generate(**rows, max_new_tokens=3, do_sample=False, pad_token_id=2)
    apart = model.generate(**both, max_new_tokens=3, do_sample=False, pad_token_id=2)
    assert torch.equal(said[0], apart[0])
    with pytest.raises(ValueError, match="3 pictures for 2 texts: give one each"):
        processor(images=[picture] * 3, text=["a", "b"])


def test_a_pipeline_answers_about_a_picture(made: tuple[Any, Any], picture: Image.Image, tmp_path: Path) -> None:
    model, processor = made
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    pipe: Any = pipeline("image-text-to-text", model=str(tmp_path))
    prompt = processor.apply_chat_template(MESSAGES, tokenize=False, add_generation_prompt=True)
    options = {"max_new_tokens": 4, "do_sample": False, "pad_token_id": 2}
    said = pipe(images=picture, text=prompt, generate_kwargs=options, return_full_text=False)[0]["generated_text"]
    inputs = asked(processor, picture)
    tokens = model.generate(**inputs, **options)[0, inputs["input_ids"].shape[1] :]
    assert said == processor.tokenizer.decode(tokens, skip_special_tokens=True)


def test_the_trainer_of_transformers_trains_it(made: tuple[Any, Any], tmp_path: Path) -> None:
    model, processor = made
    rows = []
    for colour in ("red", "blue"):
        inputs = asked(processor, open_picture(drawn(colour)))
        answer = torch.tensor(processor.tokenizer(f"A {colour} disc.")["input_ids"])
        ids = torch.cat([inputs["input_ids"][0], answer])
        labels = torch.cat([torch.full_like(inputs["input_ids"][0], -100), answer])
        pad = 60 - len(ids)
        rows.append(
            {
                "input_ids": torch.nn.functional.pad(ids, (0, pad)),
                "attention_mask": (torch.arange(60) < len(ids)).long(),
                "labels": torch.nn.functional.pad(labels, (0, pad), value=-100),
                "pixel_values": inputs["pixel_values"][0],
                "fusion_from": inputs["fusion_from"][0],
            }
        )
    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        max_steps=20,
        per_device_train_batch_size=2,
        learning_rate=3e-3,
        logging_steps=1,
        report_to="none",
        save_strategy="no",
        use_cpu=True,
        remove_unused_columns=False,
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    trainer = Trainer(model=model, args=arguments, train_dataset=rows * 10)
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(losses) == 20
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft asks for it
def test_lora_of_peft_adapts_it(made: tuple[Any, Any], picture: Image.Image) -> None:
    from peft import LoraConfig, get_peft_model

    model, processor = made
    inputs = asked(processor, picture)
    with torch.inference_mode():
        before = model(**inputs).logits
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True))
    with torch.inference_mode():
        assert torch.allclose(adapted(**inputs).logits, before, atol=1e-6)
    loss = adapted(**inputs, labels=inputs["input_ids"]).loss
    loss.backward()
    trained = [name for name, p in adapted.named_parameters() if p.grad is not None]
    assert trained
    assert all("lora_" in name for name in trained)


def test_other_checkpoints_are_refused_in_words(made: tuple[Any, Any], tmp_path: Path) -> None:
    model, processor = made
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    state = load_file(path)
    broken = {
        "lacks": {key: value for key, value in state.items() if key != "fusions.0.alpha"},
        "unknown": {**state, "extra.weight": torch.zeros(1)},
        r"\(3,\)": {**state, "fusions.0.alpha": torch.zeros(3)},
    }
    for message, changed in broken.items():
        save_file(changed, path, metadata={"format": "pt"})
        with pytest.raises(WeightsDamaged, match=message):
            vlbm.load(tmp_path)
    path.write_bytes(b"\xff" * 20)
    with pytest.raises(WeightsDamaged, match="cannot be read"):
        vlbm.load(tmp_path)
    path.unlink()
    torch.save({key: value.clone() for key, value in state.items()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(WeightsMissing, match="pickled"):
        vlbm.load(tmp_path)


def test_another_architecture_and_a_newer_format_are_refused(made: tuple[Any, Any], tmp_path: Path) -> None:
    model, processor = made
    model.language_model.save_pretrained(tmp_path / "gpt2")
    with pytest.raises(ConfigError, match=r"'gpt2', not a vlbm model: vlbm\.build"):
        vlbm.load(tmp_path / "gpt2")
    model.save_pretrained(tmp_path / "new")
    processor.save_pretrained(tmp_path / "new")
    config = tmp_path / "new" / "config.json"
    config.write_text(config.read_text(encoding="utf-8").replace('"format_version": 1', '"format_version": 9'), "utf-8")
    with pytest.raises(ConfigError, match="format_version 9 is newer"):
        vlbm.load(tmp_path / "new")
    config.write_text(config.read_text(encoding="utf-8").replace('"format_version": 9,', ""), "utf-8")
    assert vlbm.load(tmp_path / "new")[0].config.format_version == 1  # from before it was written
