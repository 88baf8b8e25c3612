"""`import vlbm` is light, and its names are where they should be."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys

import pytest

import vlbm

MODULES = [*sorted(f"vlbm.{module.name}" for module in pkgutil.iter_modules(vlbm.__path__)), "vlbm.evidence.names"]
# Other packages take seconds to load, so they are loaded once, and only ours are forgotten before each module.
EACH_FIRST = """
import builtins, importlib, json, sys, traceback
import vlbm.model, vlbm.processing
load = builtins.__import__

def checked(name, globals=None, *rest):
    ours = (globals or {}).get("__name__", "").startswith("vlbm.")
    if ours and name.split(".")[0] in ("transformers", "timm", "torchvision"):
        assert "vlbm._torchvision" in sys.modules, f"{name} before vlbm._torchvision in {globals['__name__']}"
    return load(name, globals, *rest)

def why(name):
    for loaded in [loaded for loaded in sys.modules if loaded.split(".")[0] == "vlbm"]:
        del sys.modules[loaded]
    try:
        importlib.import_module(name)
    except BaseException:
        return traceback.format_exc()
    return "imported"

builtins.__import__ = checked
print(json.dumps({name: why(name) for name in sys.argv[1:]}))
"""


def test_import_pulls_in_no_torch() -> None:
    code = "import sys, vlbm, vlbm.errors; assert not {'torch', 'transformers', 'PIL'} & set(sys.modules), 'heavy'"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture(scope="module")
def first_imports() -> dict[str, str]:
    """Of each module, what came of importing it before all others."""
    command = [sys.executable, "-W", "error", "-c", EACH_FIRST, *MODULES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("module", MODULES)
def test_each_module_can_be_the_first(module: str, first_imports: dict[str, str]) -> None:
    assert first_imports[module] == "imported"


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
