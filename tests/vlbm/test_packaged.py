"""Loading: damage is named, a saved model is the same model, and the cache is made once."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import vlbm
from tests.vlbm.conftest import drawn
from vlbm import packaged as loading
from vlbm.cache import default_cache_dir
from vlbm.errors import ConfigError, WeightsDamaged, WeightsMissing


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    folder = tmp_path / "packaged"
    shutil.copytree(loading.PACKAGED_FOLDER, folder)
    return folder


def test_a_damaged_adapter_is_named(copy: Path) -> None:
    path = copy / loading.ADAPTER
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsDamaged, match=r"adapter\.safetensors is damaged.*vlbm train"):
        vlbm.load_packaged(folder=copy)


def test_a_missing_file_is_named(copy: Path) -> None:
    (copy / loading.ADAPTER).unlink()
    with pytest.raises(WeightsMissing, match=r"adapter\.safetensors is not there"):
        vlbm.load_packaged(folder=copy)
    shutil.rmtree(copy)
    with pytest.raises(WeightsMissing, match="SHA256SUMS is not there"):
        vlbm.load_packaged(folder=copy)


def test_a_torn_adapter_with_good_checksums_is_named(copy: Path, model: Any) -> None:
    path = copy / loading.ADAPTER
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(WeightsDamaged, match="cannot be read"):
        loading.load_adapter(model, path)


def test_an_adapter_of_other_shapes_is_refused(tmp_path: Path, model: Any) -> None:
    from safetensors.torch import save_file

    state = loading.adapter_state(model)
    save_file({**state, "embedding_mean": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsDamaged, match="embedding_mean is"):
        loading.load_adapter(model, tmp_path / "other.safetensors")
    del state["embedding_mean"]
    save_file(state, tmp_path / "fewer.safetensors")
    with pytest.raises(WeightsDamaged, match="lacks"):
        loading.load_adapter(model, tmp_path / "fewer.safetensors")


def test_shipped_weights_are_small() -> None:
    size = sum(path.stat().st_size for path in loading.PACKAGED_FOLDER.iterdir())
    assert size < 40_000_000


@torch.inference_mode()
def test_saved_and_loaded_it_is_the_same_model(tmp_path: Path, model: Any, processor: Any) -> None:
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    again, its_processor = vlbm.load(tmp_path)
    prompt = "<|im_start|>user\nWhat is this?<|im_end|>\n<|im_start|>assistant\n"
    inputs = processor(images=[drawn()], text=prompt)
    others = its_processor(images=[drawn()], text=prompt)
    assert torch.equal(inputs["pixel_values"], others["pixel_values"])
    assert torch.equal(inputs["input_ids"], others["input_ids"])
    mine, theirs = model.state_dict(), again.state_dict()
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[key]) for key, value in mine.items())
    # `aligned` says why bits may differ.
    torch.testing.assert_close(model(**inputs).logits, again(**others).logits, rtol=1e-3, atol=1e-3)


def test_a_folder_without_a_model_is_said(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="neither 'packaged' nor a folder"):
        vlbm.load(tmp_path)
    for name in ("nonsense", str(tmp_path / "gone"), "vlbm/gone"):  # no hub is asked
        with pytest.raises(WeightsMissing, match=f"{name} is neither 'packaged' .* no such folder"):
            vlbm.load(name)


def test_the_cache_folder_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    monkeypatch.delenv("VLBM_CACHE", raising=False)
    assert default_cache_dir() == Path("/somewhere/vlbm")
    monkeypatch.setenv("VLBM_CACHE", "/else")
    assert default_cache_dir() == Path("/else")


def test_layers_that_do_not_exist_are_refused(model: Any) -> None:
    with pytest.raises(ConfigError, match=r"\[30\] do not exist.*0 to 29"):
        vlbm.VLBMConfig(text_config=model.config.text_config, fusion_layers=[2, 30])
    with pytest.raises(ConfigError, match="format_version 9"):
        vlbm.VLBMConfig(text_config=model.config.text_config, format_version=9)


def test_what_cannot_be_converted_is_said(tmp_path: Path) -> None:
    blocked = tmp_path / "cache"
    blocked.write_text("a file where a folder is wanted")
    with pytest.raises(WeightsDamaged, match="could not be converted"):
        vlbm.load_packaged(cache_dir=blocked)
