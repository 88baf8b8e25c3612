"""Loading what `save_pretrained` wrote: whole, or with words that say what does not fit.

Left to itself, transformers fills what a checkpoint lacks with random weights and leaves out what it does not know;
here both are errors. It knows checkpoints, and nothing of how the parts compute.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import vlbm._torchvision  # noqa: F401 (must run before transformers)

# isort: split
from safetensors import SafetensorError
from transformers import PreTrainedConfig

from vlbm.config import VLBMConfig
from vlbm.errors import ConfigError, WeightsDamaged, WeightsMissing
from vlbm.model import VLBMForConditionalGeneration
from vlbm.processing import VLBMProcessor

PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")


def load_saved(name: str) -> tuple[VLBMForConditionalGeneration, VLBMProcessor]:
    """A model and its processor from a folder or a hub.

    Raises:
        ConfigError: another architecture, or a newer format.
        WeightsMissing: there is no such folder or name, or it has no safetensors.
        WeightsDamaged: the weights cannot be read, or have other keys or shapes than the configuration says.
    """
    if not Path(name).is_dir() and not _may_be_on_a_hub(name):
        raise WeightsMissing(
            f"{name} is neither 'packaged' nor a folder with a model (config.json, model.safetensors): "
            "there is no such folder"
        )
    try:
        _check_kind(name)
        loaded: Any = VLBMForConditionalGeneration.from_pretrained(
            name, output_loading_info=True, use_safetensors=True, ignore_mismatched_sizes=True
        )
        # The backend is named, or transformers warns that it falls back to the only one there is.
        processor = VLBMProcessor.from_pretrained(name, backend="pil")
    except SafetensorError as error:
        raise WeightsDamaged(f"the weights in {name} cannot be read ({error}): copy the folder again") from error
    except OSError as error:
        if any((Path(name) / pickled).is_file() for pickled in PICKLED):
            raise WeightsMissing(
                f"{name} has pickled weights only, which may run code when they are read: load them where they were "
                "made and save them again with save_pretrained, which writes safetensors"
            ) from error
        raise WeightsMissing(
            f"{name} is neither 'packaged' nor a folder with a model (config.json, model.safetensors): {error}"
        ) from error
    model, report = loaded
    _check_whole(name, report)
    model.eval()
    return model, processor


def _may_be_on_a_hub(name: str) -> bool:
    """Whether a name may be "owner/name", and not a path that was mistyped: asking a hub in vain takes long."""
    return re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", name) is not None and not Path(name).parent.is_dir()


def _check_kind(name: str) -> None:
    settings, _ = PreTrainedConfig.get_config_dict(name)
    kind = settings.get("model_type")
    if kind is not None and kind != VLBMConfig.model_type:
        raise ConfigError(f"{name} is a {kind!r}, not a vlbm model: vlbm.build makes one of a language model")


def _check_whole(name: str, report: dict[str, Any]) -> None:
    lacks, unknown = sorted(report["missing_keys"]), sorted(report["unexpected_keys"])
    if lacks or unknown:
        raise WeightsDamaged(
            f"the weights in {name} are not this model's: it lacks {len(lacks)} keys {lacks[:3]} and has "
            f"{len(unknown)} unknown {unknown[:3]}"
        )
    for key, theirs, ours in report["mismatched_keys"]:
        raise WeightsDamaged(f"the weights in {name}: {key} is {tuple(theirs)}, config.json says {tuple(ours)}")
