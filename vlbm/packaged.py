"""The default model, assembled from installed packages without a network, and loading in general.

Language and encoder weights come from packages; the trained rest (fusions, projection, evidence tables) is shipped
beside this file. The first start converts the language weights into a cache folder; later starts map that file into
memory. This module knows files and checksums, and nothing of how the parts compute.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlbm.cache import default_cache_dir
from vlbm.conversion import LANGUAGE_FILE, language_cache, silent
from vlbm.errors import WeightsDamaged, WeightsMissing

if TYPE_CHECKING:
    import torch

    from vlbm.config import VLBMConfig
    from vlbm.model import VLBMForConditionalGeneration
    from vlbm.processing import VLBMProcessor

PACKAGED = "packaged"
PACKAGED_FOLDER = Path(__file__).parent / "weights" / PACKAGED
CONFIG, ADAPTER, CHECKSUMS = "config.json", "adapter.safetensors", "SHA256SUMS"
ADVICE = "install vlbm again, or make the weights with `vlbm train packaged`"

Progress = Callable[[str], None]


def load(
    name: str | Path = PACKAGED,
    *,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
    device: str = "cpu",
) -> tuple[VLBMForConditionalGeneration, VLBMProcessor]:
    """Load a model and its processor.

    Args:
        name: "packaged", a folder made by `save_pretrained`, or the name of such a model on a hub.
        cache_dir: where the packaged model's language weights are kept (see `vlbm.cache`).
        progress: is told what takes long.
        device: where it will compute, as torch names it; "auto" is a GPU that torch can use, else the CPU.

    Raises:
        ConfigError: the folder has another architecture, or a newer format.
        WeightsMissing: no such folder, or a package is not installed.
        WeightsDamaged: a file is not what it should be.
    """
    if str(name) == PACKAGED:
        model, processor = load_packaged(cache_dir=cache_dir, progress=progress)
    else:
        from vlbm.saved import load_saved

        model, processor = load_saved(str(name))
    return model.to(_place(device)), processor  # type: ignore[arg-type]


def _place(device: str) -> str:
    import torch

    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def load_packaged(
    cache_dir: Path | None = None, progress: Progress | None = None, folder: Path = PACKAGED_FOLDER
) -> tuple[VLBMForConditionalGeneration, VLBMProcessor]:
    """Load the packaged model. The first call takes about 20 s on 2 cores, later ones 2 to 4 s with imports.

    Args:
        cache_dir: where the converted language weights are kept.
        progress: is told what takes long.
        folder: the trained part: config.json, adapter.safetensors, SHA256SUMS.

    Raises:
        WeightsMissing: a package or file is not there.
        WeightsDamaged: a file is not what was shipped.
    """
    tell = progress or silent
    verify(folder)
    language = language_cache(Path(cache_dir or default_cache_dir()), tell)
    tell("Loading the model")
    config = read_config(folder, language)
    model = assemble(config, language_file=language / LANGUAGE_FILE)
    load_adapter(model, folder / ADAPTER)
    model.eval()  # type: ignore[no-untyped-call]
    return model, make_processor(config, language)


def verify(folder: Path) -> None:
    """Compare the shipped files with their checksums.

    Raises:
        WeightsMissing: a file is not there.
        WeightsDamaged: a file differs.
    """
    sums = folder / CHECKSUMS
    if not sums.is_file():
        raise WeightsMissing(f"{sums} is not there: {ADVICE}")
    for line in sums.read_text(encoding="utf-8").splitlines():
        wanted, name = line.split(maxsplit=1)
        path = folder / name
        if not path.is_file():
            raise WeightsMissing(f"{path} is not there: {ADVICE}")
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != wanted:
            raise WeightsDamaged(f"{path} is damaged (SHA-256 {found[:12]}..., shipped as {wanted[:12]}...): {ADVICE}")


def write_checksums(folder: Path) -> None:
    """Record the checksums that `verify` compares."""
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}" for name in (CONFIG, ADAPTER)]
    (folder / CHECKSUMS).write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_config(folder: Path, language: Path) -> VLBMConfig:
    """The shipped configuration, completed by the language model's own."""
    from transformers import AutoConfig

    from vlbm.config import VLBMConfig

    settings = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    return VLBMConfig(text_config=AutoConfig.from_pretrained(str(language)), **settings)


def assemble(config: VLBMConfig, *, language_file: Path, fresh: bool = False) -> VLBMForConditionalGeneration:
    """Build the model around mapped language weights and the packaged encoder weights.

    Args:
        config: the model's configuration.
        language_file: safetensors of the language model under its own keys; mapped, not copied.
        fresh: initialise the trained part (for training) rather than leave it to a file.
    """
    import torch
    from safetensors.torch import load_file

    from vlbm.model import VLBMForConditionalGeneration

    model = _skeleton(VLBMForConditionalGeneration, config)
    state = load_file(language_file)
    model.language_model.load_state_dict(state, strict=False, assign=True)
    model.language_model.tie_weights()
    model.language_model.requires_grad_(False)
    model.encoder.load_state_dict(config.encoder_spec.weights(None))
    with torch.no_grad():
        if fresh:
            for fusion in model.fusions:
                fusion.reset_parameters()  # type: ignore[operator]
            model.memory.reset_parameters()
            model.embedding_mean.copy_(model.get_input_embeddings().weight.mean(dim=0))  # type: ignore[operator]
    return model


def _skeleton(kind: type[VLBMForConditionalGeneration], config: VLBMConfig) -> VLBMForConditionalGeneration:
    """The model with memory for its weights reserved but not touched: they come from files."""
    from transformers.initialization import no_init_weights

    with no_init_weights():
        return kind(config)


def adapter_state(model: VLBMForConditionalGeneration) -> dict[str, torch.Tensor]:
    """What is shipped: everything but the language model and the encoder, floats in half precision."""
    import torch

    outside = ("language_model.", "encoder.")
    return {
        key: (value.half() if value.dtype == torch.float32 else value).contiguous()
        for key, value in model.state_dict().items()
        if not key.startswith(outside)
    }


def load_adapter(model: VLBMForConditionalGeneration, path: Path) -> None:
    """Load the trained part into a model.

    Raises:
        WeightsDamaged: the file cannot be read, or has other keys or shapes than the configuration says.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state = load_file(path)
    except SafetensorError as error:
        raise WeightsDamaged(f"{path} cannot be read ({error}): {ADVICE}") from error
    own = model.state_dict()
    wanted = set(adapter_keys(own))
    if set(state) != wanted:
        lacks, unknown = sorted(wanted - set(state))[:3], sorted(set(state) - wanted)[:3]
        raise WeightsDamaged(f"{path} lacks {lacks} and has unknown {unknown}: {ADVICE}")
    for key, value in state.items():
        if value.shape != own[key].shape:
            raise WeightsDamaged(
                f"{path}: {key} is {tuple(value.shape)}, config.json says {tuple(own[key].shape)}: {ADVICE}"
            )
        own[key].copy_(value)


def adapter_keys(state: dict[str, Any]) -> list[str]:
    """The keys of a model's state that are shipped."""
    return [key for key in state if not key.startswith(("language_model.", "encoder."))]


def make_processor(config: VLBMConfig, language: Path) -> VLBMProcessor:
    """The processor of a configuration, with the tokenizer from the language model's folder."""
    from transformers import AutoTokenizer

    from vlbm.fusion import fusion
    from vlbm.processing import VLBMProcessor, image_processor

    return VLBMProcessor(
        image_processor(config),
        AutoTokenizer.from_pretrained(str(language)),
        picture_tokens=fusion(config.fusion).prompt_tokens,
        fusion_begins=config.fusion_begins,
        languages=config.languages,
    )
