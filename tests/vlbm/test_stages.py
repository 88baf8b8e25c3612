"""The encoder's last stages learn, and nothing below them; resumed it is bit-equal; evidence keeps working."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import GPT2Config, ViTConfig

import vlbm
from tests.vlbm.conftest import opened
from vlbm.data.records import Example
from vlbm.encoders import encoder
from vlbm.encoders.stages import open_stages
from vlbm.encoders.towers import tower_spec
from vlbm.errors import ConfigError, DataError
from vlbm.evaluation.contrast import log_likelihoods
from vlbm.evidence.names import imagenet_names, to_tokens
from vlbm.evidence.runs import CAPTION, GROUP
from vlbm.tokenizer import train_tokenizer
from vlbm.training.encoded import Encoded, collate, encode
from vlbm.training.fit import Fit
from vlbm.training.optimiser import parameter_groups
from vlbm.training.pixels import PixelPictures
from vlbm.training.plan import Plan
from vlbm.training.seen import SeenPictures

TOKENIZER = train_tokenizer(["It is red."], vocab_size=300)
TOWER = ViTConfig(
    hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=8
)
PLAN = Plan(steps=2, batch=3, rate=3e-3, warmup=1, encoder_stages=1, evaluate_every=1)
SPECS = {**{name: encoder(name) for name in vlbm.list_encoders()}, "tower": tower_spec(TOWER)}
LAST = {  # names of some parameters of the last stage, and of the one before it
    "vgg11": ("net.features.18.", "net.features.13."),
    "resnet18": ("net.layer4.", "net.layer3."),
    "efficientnet_b0": ("net.features.8.", "net.features.5."),
    "mobilenet_v3_large": ("net.features.16.", "net.features.12."),
    "convnext_tiny": ("net.features.6.", "net.features.5."),
    "efficientnet_lite0": ("net.conv_head.", "net.blocks.4."),
    "tower": ("net.layernorm.", "net.layers.1."),
}


def fresh(source: Any = TOWER, **settings: Any) -> tuple[Any, Any]:
    torch.manual_seed(0)
    text = GPT2Config(n_layer=2, n_head=2, n_embd=32, n_positions=96, vocab_size=300, bos_token_id=0, eos_token_id=1)
    return vlbm.build(
        text,
        tokenizer=TOKENIZER,
        encoder=source,
        encoder_weights="random",
        fusion="sum_channel",
        fusion_heads=2,
        fusion_head_width=8,
        **settings,
    )


def rows(processor: Any, folder: Path) -> list[Encoded]:
    """Rows of no picture, one and two."""
    pictures = PixelPictures(processor)
    made = []
    for number, colour in enumerate(("red", "green", "blue", "black")):
        path = folder / f"{colour}.png"
        Image.new("RGB", (40, 30), colour).save(path)
        example = Example((), target=f"It is {colour}.", task="chat", text="What?")
        made.append(encode(processor, example, [pictures.see(path)] * ((number + 1) % 3), context=96))
    return made


@pytest.mark.parametrize("name", SPECS)
def test_the_gradient_reaches_the_stages_that_learn_and_stops_there(name: str) -> None:
    spec = SPECS[name]
    with torch.device("meta"):  # which parameters get one needs no numbers
        made = spec.build().eval()
        stages = made.stages()
        for count in (0, 1, 2):
            open_stages(made, count)
            made.zero_grad(set_to_none=True)
            grid = made(torch.empty(1, 3, spec.image_size, spec.image_size)).grid
            assert grid.requires_grad == (count > 0)
            if count:
                grid.sum().backward()
            reached = {id(p) for p in made.parameters() if p.grad is not None}
            learning = {id(p) for stage in stages[:count] for part in stage for p in part.parameters()}
            assert reached == learning
    own = {id(p) for stage in stages for part in stage for p in part.parameters()}
    assert sum(len(list(part.parameters())) for stage in stages for part in stage) == len(own)  # none twice


@pytest.mark.parametrize("name", LAST)
def test_the_last_stage_is_the_one_that_is_meant(name: str) -> None:
    with torch.device("meta"):
        made = SPECS[name].build()
    open_stages(made, 1)
    learning = [key for key, p in made.named_parameters() if p.requires_grad]
    assert any(key.startswith(LAST[name][0]) for key in learning)
    assert not any(key.startswith(LAST[name][1]) for key in learning)
    assert not any("classifier" in key or ".fc." in key for key in learning)


def test_stages_are_counted_by_resolution() -> None:
    counts = {}
    for name, spec in SPECS.items():
        with torch.device("meta"):
            counts[name] = len(spec.build().stages())
    assert counts.pop("convnext_tiny") == 4
    assert counts.pop("tower") == 3
    assert set(counts.values()) == {5}


@pytest.mark.parametrize("source", ["resnet18", TOWER])
def test_the_loss_reaches_the_encoder(source: Any, tmp_path: Path) -> None:
    model, processor = fresh(source)
    batch = collate(rows(processor, tmp_path))
    assert batch["pictures"].tolist() == [1, 2, 0, 1]
    opened(model)(**batch).loss.backward()
    assert all(p.grad is None for p in model.encoder.parameters())
    model.train_encoder(1)
    model.train()
    assert not any(part.training for part in model.encoder.modules())  # batch statistics stay
    before = model.encoder.state_dict()
    kept = {key: value.clone() for key, value in before.items() if "running" in key}
    model(**batch).loss.backward()
    reached = {name for name, p in model.encoder.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
    assert reached
    assert reached == {name for name, p in model.encoder.named_parameters() if p.requires_grad}
    assert all(torch.equal(value, model.encoder.state_dict()[key]) for key, value in kept.items())


@torch.inference_mode()
def test_pixels_are_what_was_seen_before(tmp_path: Path) -> None:
    """A batch of rows of pixels gives the logits of the same rows as visuals."""
    model, processor = fresh()
    opened(model)
    as_pixels = rows(processor, tmp_path)
    as_visuals = [
        replace(row, visuals=tuple(model.look(p.values()[None]) for p in row.visuals))  # type: ignore[union-attr]
        for row in as_pixels
    ]
    assert torch.allclose(model(**collate(as_pixels)).logits, model(**collate(as_visuals)).logits, atol=1e-5)
    assert torch.allclose(log_likelihoods(model, as_pixels), log_likelihoods(model, as_visuals), atol=1e-4)


@pytest.mark.parametrize("source", ["resnet18", TOWER])
def test_resumed_is_bit_equal_and_only_what_learns_has_changed(source: Any, tmp_path: Path) -> None:
    def fit(folder: Path) -> tuple[Fit, Any]:
        model, processor = fresh(source)
        examples = rows(processor, tmp_path)
        return Fit(opened(model), train=examples, held_out=examples[:1], plan=PLAN, folder=folder), model

    whole, straight = fit(tmp_path / "whole")
    before = {key: value.clone() for key, value in straight.encoder.state_dict().items()}
    whole.run()
    first, _ = fit(tmp_path / "parts")
    coming = first.coming()
    first.train_step(coming)
    first._look(0.0, 0.0)
    first.train_step(coming)  # lost: the checkpoint is older
    second, resumed = fit(tmp_path / "parts")
    second.run()
    after = straight.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in resumed.state_dict().items())
    changed = {key for key, value in straight.encoder.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {key for key, p in straight.encoder.named_parameters() if p.requires_grad}
    straight.save_pretrained(tmp_path / "saved")
    loaded: Any = vlbm.VLBMForConditionalGeneration.from_pretrained(tmp_path / "saved")
    state = straight.encoder.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in loaded.encoder.state_dict().items())
    assert loaded.encoder_stages == 0


def test_a_loaded_model_is_frozen_until_it_is_asked(tmp_path: Path) -> None:
    model, processor = fresh()
    opened(model).save_pretrained(tmp_path / "saved")
    loaded: Any = vlbm.VLBMForConditionalGeneration.from_pretrained(tmp_path / "saved")
    loaded(**collate(rows(processor, tmp_path))).loss.backward()
    assert all(p.grad is None for p in loaded.encoder.parameters())


def test_names_and_memory_stay_evidence(tmp_path: Path) -> None:
    names = imagenet_names()
    model, processor = fresh("resnet18", class_groups=len(names.groups), memory_pictures=2, caption_tokens=4)
    table = model.evidence
    table.group_of_class.copy_(torch.tensor(names.group_of_class))
    table.group_tokens.copy_(to_tokens(list(names.groups), TOKENIZER, 8)[None])
    table.class_tokens.copy_(to_tokens(list(names.classes), TOKENIZER, 8))
    table.memory.tokens.copy_(to_tokens(["red", "blue"], TOKENIZER, 4)[None])
    table.memory.features.copy_(torch.nn.functional.normalize(torch.randn(2, 512), dim=1))
    model.train_encoder(1)
    batch = collate(rows(processor, tmp_path))
    visual = model._see(batch["pixel_values"], model.encode(batch["pixel_values"]), None)
    assert visual.grid.requires_grad
    assert not visual.evidence.confidence.requires_grad
    assert {GROUP, CAPTION} <= set(visual.evidence.kind.flatten().tolist())
    opened(model)(**batch).loss.backward()
    assert model.encoder.net.fc.weight.grad is None
    assert not model.look(batch["pixel_values"]).grid.requires_grad


def test_what_cannot_learn_is_said(tmp_path: Path) -> None:
    model, processor = fresh()
    with pytest.raises(ConfigError, match="encoder_stages must be 0 to 3, the stages of this encoder, got 4"):
        model.train_encoder(4)
    with pytest.raises(ConfigError, match="encoder_stages must not be below 0, got -1"):
        replace(PLAN, encoder_stages=-1)
    examples = rows(processor, tmp_path)
    seen = SeenPictures(model, processor, tmp_path / "cache").see(tmp_path / "red.png")
    old = [replace(row, visuals=(seen,)) for row in examples]
    with pytest.raises(DataError, match="encoder_stages 1 needs pixels"):
        Fit(model, train=old, held_out=old, plan=PLAN, folder=tmp_path)


def test_norms_biases_and_scales_have_no_decay() -> None:
    with torch.device("meta"):
        made = SPECS["convnext_tiny"].build()
    decayed, plain, gates = parameter_groups(made.named_parameters(), rate=1.0, gate_rate=1.0)
    named = {id(p): name for name, p in made.named_parameters()}
    assert not gates["params"]
    assert all(p.ndim > 1 and "layer_scale" not in named[id(p)] for p in decayed["params"])
    assert all(p.ndim == 1 or "layer_scale" in named[id(p)] for p in plain["params"])


def test_mixed_precision_reaches_the_encoder_too(tmp_path: Path) -> None:
    model, processor = fresh()
    model.train_encoder(3)
    with torch.autocast("cpu", torch.bfloat16):
        loss = opened(model)(**collate(rows(processor, tmp_path))).loss
    loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.encoder.net.layers.parameters())
