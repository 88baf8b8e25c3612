"""A model from parts of one's choice: any encoder, any language model, any fusion.

It knows how parts are named and loaded, and nothing of training. `packaged` assembles the default model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import vlbm._torchvision  # noqa: F401 (must run before transformers)

# isort: split
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedConfig, PreTrainedModel

from vlbm.config import VLBMConfig
from vlbm.encoders import TOWER, EncoderSource, find_encoder
from vlbm.encoders.towers import FoundTower, Tower
from vlbm.errors import ConfigError, WeightsMissing
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
        language_model: a causal language model of transformers: loaded, as a folder or the name on a hub, or a
            configuration, which gets random weights.
        tokenizer: its tokenizer; by default the one of the same folder or name.
        encoder: a name of `vlbm.list_encoders()`, or a vision tower of transformers: its folder, its name on a hub
            ("owner/name"), loaded, or a configuration, which gets random weights. Of a model with more parts (CLIP) it
            is the vision part.
        encoder_weights: "pretrained" takes them where the registry or the tower has them, a path from that file.
        fusion: a name of `vlbm.list_fusions()`.
        fusion_layers: layers of the language model whose output is fused; by default the upper half's.
        settings: further fields of `VLBMConfig`.

    Raises:
        ConfigError: a name or size that cannot be; the message has what can.
        WeightsMissing: weights that are not there and cannot be fetched.
        WeightsDamaged: a file of weights that is not what the encoder needs.
    """
    tower = find_encoder(encoder, weights=encoder_weights == "pretrained")
    text, loaded = _language(language_model)
    if tokenizer is None:
        if not isinstance(language_model, (str, Path)):
            raise ConfigError("tokenizer must be given with a language model that is not a folder or a name")
        tokenizer = AutoTokenizer.from_pretrained(str(language_model))
    layers = int(text.num_hidden_layers)
    config = VLBMConfig(
        text_config=text,
        encoder=str(encoder) if tower is None else TOWER,
        vision_config=None if tower is None else tower.config,
        fusion=fusion,
        fusion_layers=tuple(range(layers // 2, layers)) if fusion_layers is None else fusion_layers,
        **{"image_views": 1, **({} if tower is None else tower.normalisation), **settings},
    )
    model = VLBMForConditionalGeneration(config)
    if loaded is not None:
        model.language_model.load_state_dict(loaded.state_dict())
    if isinstance(model.encoder, Tower):
        model.encoder.check()
    weights = _encoder_weights(config, tower, encoder_weights)
    if weights is not None:
        model.encoder.load_state_dict(weights)
    with torch.no_grad():
        model.embedding_mean.copy_(model.get_input_embeddings().weight.mean(dim=0))  # type: ignore[operator]
    model.eval()  # type: ignore[no-untyped-call]
    return model, VLBMProcessor(image_processor(config), tokenizer, chat_template=PLAIN_CHAT_TEMPLATE)


def _language(source: str | Path | PreTrainedConfig | PreTrainedModel) -> tuple[Any, Any]:
    """Its configuration, and the model itself where it has weights."""
    if isinstance(source, PreTrainedConfig):
        return source, None
    if isinstance(source, (str, Path)):
        try:
            source = AutoModelForCausalLM.from_pretrained(str(source))
        except OSError as error:
            raise WeightsMissing(
                f"the language model {str(source)!r} is neither a folder nor a name that a hub answers for: {error}"
            ) from error
    return source.config, source


def _encoder_weights(config: VLBMConfig, tower: FoundTower | None, wanted: EncoderWeights) -> dict[str, Any] | None:
    """What the encoder is loaded with; None leaves it random."""
    if wanted == "random":
        return None
    if wanted != "pretrained":
        return config.encoder_spec.weights(Path(wanted))
    return config.encoder_spec.weights(None) if tower is None else tower.state
