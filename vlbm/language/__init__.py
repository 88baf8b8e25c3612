"""Language models: families to make one from scratch, and those whose weights an installed package carries.

One file a row, one registry. Any other causal language model of transformers is used by its folder or its name on a
hub (`vlbm.build`). Language models know nothing of pictures. Adding a row is a file that makes a `LanguageSpec`, and
its place in `_LANGUAGE_MODELS`.
"""

from __future__ import annotations

from typing import Any

import vlbm._torchvision  # noqa: F401 (must run before transformers)

# isort: split
from vlbm.errors import ConfigError
from vlbm.language.gpt2 import GPT2
from vlbm.language.layers import context_tokens, decoder_layers
from vlbm.language.llama import LLAMA
from vlbm.language.recurrent import RECURRENT
from vlbm.language.smollm2 import SMOLLM2, smollm2_file
from vlbm.language.spec import LanguageSpec, LanguageWeights, Package, Sizes

__all__ = [
    "LanguageSpec",
    "LanguageWeights",
    "Package",
    "Sizes",
    "context_tokens",
    "decoder_layers",
    "from_scratch",
    "language_config",
    "language_model",
    "list_language_models",
    "smollm2_file",
    "with_weights",
]

_LANGUAGE_MODELS = {spec.name: spec for spec in (GPT2, LLAMA, *RECURRENT, SMOLLM2)}


def list_language_models() -> list[str]:
    """Names of the language models, families and packaged ones together."""
    return sorted(_LANGUAGE_MODELS)


def from_scratch() -> list[str]:
    """Names of the families that `language_config` makes."""
    return [name for name in list_language_models() if _LANGUAGE_MODELS[name].new]


def with_weights() -> list[str]:
    """Names of the language models whose weights come with a package."""
    return [name for name in list_language_models() if _LANGUAGE_MODELS[name].package]


def language_model(name: str) -> LanguageSpec:
    """The registry's row of a name.

    Raises:
        ConfigError: no such name.
    """
    try:
        return _LANGUAGE_MODELS[name]
    except KeyError:
        raise ConfigError(f"unknown language model {name!r}: use one of {', '.join(list_language_models())}") from None


def language_config(name: str, sizes: Sizes) -> Any:
    """The transformers configuration of a language model from scratch, to be given to `vlbm.build`.

    Raises:
        ConfigError: no such family.
    """
    spec = language_model(name)
    if spec.new is None:
        raise ConfigError(f"{name} comes trained, in one size: from scratch there are {', '.join(from_scratch())}")
    return spec.new(sizes)
