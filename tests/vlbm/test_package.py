"""`import vlbm` is light, and its names are where they should be."""

from __future__ import annotations

import subprocess
import sys

import pytest

import vlbm


def test_import_pulls_in_no_torch() -> None:
    code = "import sys, vlbm, vlbm.errors; assert not {'torch', 'transformers', 'PIL'} & set(sys.modules), 'heavy'"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("module", ["config", "encoders", "evidence.names", "language", "model", "processing"])
def test_each_module_can_be_the_first(module: str) -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", f"import vlbm.{module}"], check=True)


@pytest.mark.parametrize("name", vlbm.__all__)
def test_public_names_resolve(name: str) -> None:
    assert getattr(vlbm, name) is not None


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = vlbm.nonsense


def test_registries_list_what_there_is() -> None:
    assert {"efficientnet_lite0", "vgg19", "resnet50"} < set(vlbm.list_encoders())
    assert vlbm.list_language_models() == ["gpt2", "gru", "llama", "lstm", "smollm2-135m-instruct"]
    assert "weighted_sum" in vlbm.list_fusions()
