"""Vision towers of transformers as encoders: by folder, configuration or loaded; saved with the model; else refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoModelForImageTextToText,
    BertConfig,
    BitImageProcessor,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPVisionConfig,
    DeiTConfig,
    Dinov2Config,
    Dinov2WithRegistersConfig,
    GPT2Config,
    PreTrainedConfig,
    Siglip2VisionConfig,
    SiglipConfig,
    SiglipVisionConfig,
    SwinConfig,
    VideoMAEConfig,
    ViTConfig,
    ViTForImageClassification,
)

import vlbm
from tests.vlbm.conftest import drawn, picture_ref
from vlbm.encoders.towers import find_tower, tower_spec
from vlbm.engine import Engine, GenerationRequest, Message, Token
from vlbm.errors import ConfigError, WeightsDamaged, WeightsMissing
from vlbm.evidence.names import to_tokens
from vlbm.evidence.runs import CAPTION
from vlbm.tokenizer import train_tokenizer
from vlbm.training.run import make_model
from vlbm.training.settings import read_settings

TOKENIZER = train_tokenizer(["It is red."], vocab_size=300)
SMALL: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 8}
WIDE = {**SMALL, "intermediate_size": 32}
SQUARE: dict[str, Any] = {"image_size": 32}
TEXT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 50}
IDS = {"bos_token_id": 1, "eos_token_id": 2}
TOWERS: dict[str, Any] = {
    "vit": ViTConfig(**WIDE, **SQUARE),
    "deit": DeiTConfig(**WIDE, **SQUARE),
    "dinov2": Dinov2Config(**SMALL, **SQUARE),
    "dinov2 with registers": Dinov2WithRegistersConfig(**SMALL, **SQUARE),
    "clip": CLIPVisionConfig(**WIDE, **SQUARE),
    "siglip": SiglipVisionConfig(**WIDE, **SQUARE),
    "siglip2": Siglip2VisionConfig(**WIDE, num_patches=16),
    "whole clip": CLIPConfig(text_config={**TEXT, **IDS}, vision_config={**WIDE, **SQUARE}, projection_dim=8),
    "whole siglip": SiglipConfig(text_config={**TEXT, **IDS}, vision_config={**WIDE, **SQUARE}),
}


def saved(folder: Path, config: PreTrainedConfig) -> Any:
    """A model with random weights, saved to a folder."""
    torch.manual_seed(0)
    model: Any = AutoModel.from_config(config)  # type: ignore[no-untyped-call]
    model.save_pretrained(folder)
    return model


def build(encoder: Any, **settings: Any) -> tuple[Any, Any]:
    torch.manual_seed(1)
    text = GPT2Config(n_layer=2, n_head=2, n_embd=32, n_positions=96, vocab_size=300, bos_token_id=0, eos_token_id=1)
    made: dict[str, Any] = {"fusion": "sum_channel", "fusion_heads": 2, "fusion_head_width": 8}
    return vlbm.build(text, tokenizer=TOKENIZER, encoder=encoder, **(made | settings))


@pytest.mark.parametrize("name", TOWERS)
@torch.inference_mode()
def test_a_folder_becomes_an_encoder_that_is_saved_with_the_model(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "tower"
    theirs = saved(folder, TOWERS[name]).eval()
    model, processor = build(folder)
    shutil.rmtree(folder)
    pixels = torch.randn(2, 3, 32, 32)
    seen = model.encoder(pixels)
    spec: Any = model.config.encoder_spec
    assert seen.grid.shape == (2, spec.cells, spec.width) == (2, 16, 16)
    assert seen.logits.shape == (2, 0)
    tower = theirs.vision_model if name.startswith("whole") else theirs
    if name != "siglip2":
        states = tower(pixel_values=pixels).last_hidden_state
        assert torch.allclose(seen.grid, states[:, -16:], atol=1e-5)
    model.save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    ours, auto = vlbm.load(tmp_path / "model")[0], AutoModelForImageTextToText.from_pretrained(tmp_path / "model")
    loaded: Any
    for loaded in (ours, auto):
        assert loaded.config.vision_config.model_type == spec.name
        assert torch.allclose(loaded.encoder(pixels).grid, seen.grid, atol=1e-6)
    for number in range(2):
        assert torch.allclose(model.encoder(pixels[number : number + 1]).grid[0], seen.grid[number], atol=1e-5)


@torch.inference_mode()
def test_siglip2_sees_the_patches_that_its_own_processor_cuts(tmp_path: Path) -> None:
    from transformers import Siglip2ImageProcessor

    theirs = saved(tmp_path, TOWERS["siglip2"]).eval()
    images = Siglip2ImageProcessor(patch_size=8, max_num_patches=16, do_resize=False)
    images.save_pretrained(tmp_path)
    model, processor = build(tmp_path)
    picture = Image.effect_noise((32, 32), 90).convert("RGB")
    picture.paste("red", (0, 0, 9, 20))
    inputs = images(picture, return_tensors="pt")
    seen = model.encoder(processor.image_processor(picture)["pixel_values"][0])
    assert torch.allclose(seen.grid, theirs(**inputs).last_hidden_state, atol=1e-4)


@torch.inference_mode()
def test_towers_come_loaded_as_a_configuration_and_from_a_classifier(tmp_path: Path) -> None:
    pixels = torch.randn(1, 3, 32, 32)
    classifier: Any = ViTForImageClassification(TOWERS["vit"])
    classifier.eval()
    loaded, _ = build(classifier)
    assert torch.allclose(
        loaded.encoder(pixels).grid, classifier.vit(pixel_values=pixels).last_hidden_state[:, 1:], atol=1e-5
    )
    classifier.save_pretrained(tmp_path)
    from_folder, _ = build(tmp_path)
    assert torch.equal(from_folder.encoder(pixels).grid, loaded.encoder(pixels).grid)
    random, _ = build(tmp_path, encoder_weights="random")
    configured, _ = build(TOWERS["vit"])
    for other in (random, configured):
        assert not torch.allclose(other.encoder(pixels).grid, loaded.encoder(pixels).grid, atol=1e-2)
    save_file(loaded.encoder.net.state_dict(), tmp_path / "weights.safetensors")
    from_file, _ = build(TOWERS["vit"], encoder_weights=tmp_path / "weights.safetensors")
    assert torch.equal(from_file.encoder(pixels).grid, loaded.encoder(pixels).grid)


def test_half_precision_checkpoints_become_as_the_rest(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tower: Any = AutoModel.from_config(TOWERS["clip"]).half()  # type: ignore[no-untyped-call]
    tower.save_pretrained(tmp_path)
    model, _ = build(tmp_path)
    assert {p.dtype for p in model.encoder.parameters()} == {torch.float32}


def test_pixels_are_normalised_as_the_tower_was_trained(tmp_path: Path) -> None:
    saved(tmp_path, TOWERS["whole clip"])
    assert build(tmp_path)[1].image_processor.image_mean == (0.5, 0.5, 0.5)  # none in the folder
    clip = CLIPImageProcessor()
    clip.save_pretrained(tmp_path)
    model, processor = build(tmp_path)
    assert processor.image_processor.image_mean == model.config.image_mean == tuple(clip.image_mean)
    assert processor.image_processor.image_std == model.config.image_std == tuple(clip.image_std)
    BitImageProcessor(do_normalize=False).save_pretrained(tmp_path)
    assert build(tmp_path)[1].image_processor.image_std == (1.0, 1.0, 1.0)
    mine, processor = build(tmp_path, image_mean=(0.1, 0.2, 0.3))
    assert processor.image_processor.image_mean == mine.config.image_mean == (0.1, 0.2, 0.3)


@torch.inference_mode()
def test_without_classes_evidence_is_the_memory_or_nothing() -> None:
    pixels = torch.randn(2, 4, 3, 32, 32)
    bare, _ = build(TOWERS["vit"], image_views=4)
    evidence = bare.look(pixels).evidence
    assert evidence.tokens.shape == (2, 0)
    assert bare(input_ids=torch.tensor([[1, 2]] * 2), pixel_values=pixels).logits.isfinite().all()
    model, _ = build(TOWERS["vit"], image_views=4, memory_pictures=2, caption_tokens=4, evidence_neighbours=1)
    memory = model.evidence.memory
    memory.tokens.copy_(to_tokens(["red", "red"], TOKENIZER, 4)[None])
    memory.caption.zero_()
    pooled = model.encoder(pixels.flatten(0, 1)).pooled.view(2, 4, -1).mean(dim=1)
    memory.features.copy_(memory.direction(pooled))
    evidence = model.look(pixels).evidence
    assert set(evidence.kind[evidence.mask].tolist()) == {CAPTION}
    assert (evidence.confidence[evidence.mask] > 0.99).all()
    with pytest.raises(ConfigError, match="class_groups 3 does not fit: vit has no classes to name"):
        build(TOWERS["vit"], class_groups=3)


def test_an_engine_answers_with_a_tower() -> None:
    model, processor = build(TOWERS["vit"])
    engine = Engine(model, processor)
    about = engine.describe()
    assert (about.encoder, about.image_cells) == ("vit", 16)
    request = GenerationRequest((Message("user", "What?", (picture_ref(drawn()),)),), max_tokens=3)
    assert any(isinstance(step, Token) for step in engine.generate(request))
    other, _ = build(TOWERS["vit"])
    with torch.no_grad():
        other.encoder.net.layernorm.bias.add_(1)
    assert Engine(other, processor).eyes.identity != engine.eyes.identity


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (BertConfig(), "a bert has no patch_size: use a vision tower such as ViT"),
        (
            SwinConfig(image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[2, 2], window_size=4),
            "a swin r",
        ),
        (VideoMAEConfig(**WIDE, **SQUARE), r"a videomae takes no pictures \[b,3,h,w\]"),
        (ViTConfig(**WIDE, image_size=[32, 16]), r"image_size \[32, 16\] is not square"),
        (ViTConfig(**WIDE, image_size=32, num_channels=1), "num_channels 1 does not fit: pictures have 3"),
        (Siglip2VisionConfig(**WIDE, num_patches=15), "num_patches 15 is no square"),
    ],
)
def test_what_is_no_tower_of_squares_is_refused(config: PreTrainedConfig, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(config)


def test_a_pair_of_equal_sides_is_a_square() -> None:
    assert tower_spec(ViTConfig(**WIDE, image_size=[32, 32])).cells == 16


def test_unknown_names_are_answered_with_the_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"unknown encoder 'resnet19': use one of .*resnet18.*, or the folder"):
        build("resnet19")
    with pytest.raises(ConfigError, match=r"unknown encoder '.*' \(.*config\.json.*\): use one of .*resnet18"):
        build(tmp_path)

    def refuse(*_a: Any, **_k: Any) -> Any:
        raise OSError("no route\nand more")

    monkeypatch.setattr("vlbm.encoders.towers.AutoConfig.from_pretrained", refuse)
    with pytest.raises(ConfigError, match=r"unknown encoder 'someone/vit' \(no route\): use one of .*resnet18"):
        build("someone/vit")


def test_a_tower_without_its_weights_is_refused(tmp_path: Path) -> None:
    saved(tmp_path, TOWERS["whole clip"])
    path = tmp_path / "model.safetensors"
    state = load_file(path)
    lost = {key: value for key, value in state.items() if "vision_model.encoder.layers.1.mlp" not in key}
    save_file(lost, path, metadata={"format": "pt"})
    with pytest.raises(WeightsDamaged, match=r"lack 4 keys .*encoder\.layers\.1\.mlp"):
        build(tmp_path)
    path.unlink()
    with pytest.raises(WeightsMissing, match=r"the weights of the vision tower .* are not there"):
        build(tmp_path)
    assert find_tower(tmp_path, weights=False).state is None
    with pytest.raises(WeightsMissing, match="come with its folder or name"):
        tower_spec(TOWERS["vit"]).weights(None)


def test_a_configuration_names_one_encoder() -> None:
    text = {"model_type": "gpt2", "n_layer": 1}
    for options in ({"encoder": "tower"}, {"vision_config": TOWERS["vit"]}):
        with pytest.raises(ConfigError, match="it is 'tower' where vision_config is given"):
            vlbm.VLBMConfig(text_config=text, fusion_layers=[0], **options)
    config: Any = vlbm.VLBMConfig(
        text_config=text, fusion_layers=[0], encoder="tower", vision_config=TOWERS["whole clip"]
    )
    assert config.vision_config.model_type == "clip_vision_model"
    again = vlbm.VLBMConfig.from_dict(json.loads(config.to_json_string()))
    assert again.encoder_spec.cells == 16


def test_a_checkpoint_from_before_towers_loads(tmp_path: Path) -> None:
    model, processor = build("resnet18", encoder_weights="random")
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    assert config["vision_config"] is None
    for name in ("vision_config", "image_mean", "image_std"):
        del config[name]
    path.write_text(json.dumps(config), encoding="utf-8")
    loaded, _ = vlbm.load(tmp_path)
    assert loaded.config.image_mean == model.config.image_mean == (0.485, 0.456, 0.406)
    state = loaded.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


def test_a_training_file_names_a_folder_beside_it(tmp_path: Path) -> None:
    saved(tmp_path / "vit", TOWERS["vit"])
    (tmp_path / "mine.toml").write_text(
        'out = "run"\n[model]\nlanguage_model = "new"\nencoder = "vit"\nfusion_heads = 2\nfusion_head_width = 8\n'
        '[new]\nlayers = 2\nwidth = 32\nheads = 2\n[data]\ntrain = "a.jsonl"\nheld_out = "b.jsonl"\n',
        encoding="utf-8",
    )
    model, _ = make_model(read_settings(tmp_path / "mine.toml"), [])
    assert model.config.vision_config.model_type == "vit"
