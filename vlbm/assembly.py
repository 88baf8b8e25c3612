"""A model from parts of one's choice: any encoder, any language model, any fusion.

It knows how parts are named and loaded, and nothing of training. `packaged` assembles the default model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import vlbm._torchvision  # noqa: F401 (must run before transformers)

# isort: split
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedConfig, PreTrainedModel
from transformers.initialization import no_init_weights

from vlbm.cache import default_cache_dir
from vlbm.config import VLBMConfig
from vlbm.conversion import LANGUAGE_FILE, language_cache
from vlbm.encoders import TOWER, EncoderSource, find_encoder
from vlbm.encoders.towers import FoundTower, Tower
from vlbm.errors import ConfigError, WeightsMissing
from vlbm.fusion import fusion as fusion_kind
from vlbm.language import with_weights
from vlbm.model import VLBMForConditionalGeneration
from vlbm.processing import PLAIN_CHAT_TEMPLATE, VLBMProcessor, image_processor

EncoderWeights = Literal["pretrained", "random"] | Path


def build(
    language_model: str | Path | PreTrainedConfig | PreTrainedModel,
    *,
    tokenizer: Any = None,
    encoder: EncoderSource = "efficientnet_lite0",
    encoder_weights: EncoderWeights = "pretrained",
    fusion: str = "weighted_sum",
    fusion_layers: tuple[int, ...] | None = None,
    **settings: Any,
) -> tuple[VLBMForConditionalGeneration, VLBMProcessor]:
    """A model that has not seen a picture yet, in evaluation mode, and its processor.

    Args:
        language_model: a causal language model of transformers: loaded, as a folder or the name on a hub, one of
            `vlbm.list_language_models()` that comes with weights, or a configuration, which gets random weights (see
            `vlbm.language_config`).
        tokenizer: its tokenizer; by default the one of the same folder or name.
        encoder: a name of `vlbm.list_encoders()`, or a vision tower of transformers: its folder, its name on a hub
            ("owner/name"), loaded, or a configuration, which gets random weights. Of a model with more parts (CLIP) it
            is the vision part.
        encoder_weights: "pretrained" takes them where the registry or the tower has them, a path from that file.
        fusion: a name of `vlbm.list_fusions()`.
        fusion_layers: layers of the language model whose output is fused; by default the upper half's. A fusion that
            acts on the prompt has none.
        settings: further fields of `VLBMConfig`.

    Raises:
        ConfigError: a name or size that cannot be; the message has what can.
        WeightsMissing: weights that are not there and cannot be fetched.
        WeightsDamaged: a file of weights that is not what the encoder needs.
    """
    tower = find_encoder(encoder, weights=encoder_weights == "pretrained")
    text, loaded, own_tokenizer = _language(language_model)
    tokenizer = tokenizer or own_tokenizer
    if tokenizer is None:
        raise ConfigError("tokenizer must be given with a language model that is not a folder or a name")
    if fusion_layers is None:
        fusion_layers = _upper_half(int(text.num_hidden_layers), fusion)
    config = VLBMConfig(
        text_config=text,
        encoder=str(encoder) if tower is None else TOWER,
        vision_config=None if tower is None else tower.config,
        fusion=fusion,
        fusion_layers=fusion_layers,
        **{"image_views": 1, **({} if tower is None else tower.normalisation), **settings},
    )
    model = VLBMForConditionalGeneration(config)
    if loaded is not None:
        model.language_model.load_state_dict(loaded)
        model.language_model.tie_weights()
    if isinstance(model.encoder, Tower):
        model.encoder.check()
    weights = _encoder_weights(config, tower, encoder_weights)
    if weights is not None:
        model.encoder.load_state_dict(weights)
    with torch.no_grad():
        model.embedding_mean.copy_(model.get_input_embeddings().weight.mean(dim=0))  # type: ignore[operator]
    model.eval()  # type: ignore[no-untyped-call]
    tokens = fusion_kind(fusion).prompt_tokens
    processor = VLBMProcessor(
        image_processor(config),
        tokenizer,
        chat_template=PLAIN_CHAT_TEMPLATE,
        picture_tokens=tokens,
        fusion_begins=config.fusion_begins,
        languages=config.languages,
    )
    return model, processor


def _upper_half(layers: int, fusion: str) -> tuple[int, ...]:
    return () if fusion_kind(fusion).prompt_tokens else tuple(range(layers // 2, layers))


def _language(source: str | Path | PreTrainedConfig | PreTrainedModel) -> tuple[Any, Any, Any]:
    """Its configuration, and its weights and tokenizer where it has such."""
    if isinstance(source, PreTrainedConfig):
        return source, None, None
    if isinstance(source, PreTrainedModel):
        return source.config, source.state_dict(), None
    if str(source) in with_weights():
        return _packaged_language(str(source))
    try:
        loaded = AutoModelForCausalLM.from_pretrained(str(source))
        tokenizer = AutoTokenizer.from_pretrained(str(source))
    except OSError as error:
        raise WeightsMissing(
            f"the language model {str(source)!r} is neither a folder nor a name that a hub answers for, nor one of "
            f"{', '.join(with_weights())}: {error}"
        ) from error
    return loaded.config, loaded.state_dict(), tokenizer


def _packaged_language(name: str) -> tuple[Any, Any, Any]:
    folder = language_cache(default_cache_dir(), name=name)
    config = AutoConfig.from_pretrained(str(folder))
    with no_init_weights():
        loaded: Any = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    loaded.load_state_dict(load_file(folder / LANGUAGE_FILE), strict=False)  # tied weights are there once
    loaded.tie_weights()
    return config, loaded.state_dict(), AutoTokenizer.from_pretrained(str(folder))


def _encoder_weights(config: VLBMConfig, tower: FoundTower | None, wanted: EncoderWeights) -> dict[str, Any] | None:
    """What the encoder is loaded with; None leaves it random."""
    if wanted == "random":
        return None
    if wanted != "pretrained":
        return config.encoder_spec.weights(Path(wanted))
    return config.encoder_spec.weights(None) if tower is None else tower.state
