"""The configuration of a visually augmented language model, as transformers saves and loads it.

It names the parts and their sizes; it knows nothing of weights or of where files lie.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import vlbm._torchvision  # noqa: F401 (must run before transformers)

# isort: split
from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec

from vlbm.encoders import TOWER, EncoderSpec, encoder
from vlbm.encoders.towers import tower_spec, vision_part
from vlbm.errors import ConfigError
from vlbm.fusion import fusion
from vlbm.recurrent import config as _recurrent  # noqa: F401 (registers its configuration, which text_config may be)

FORMAT_VERSION = 1
BEGINNINGS = ("answer", "question")


@strict
class VLBMConfig(PreTrainedConfig):  # type: ignore[no-untyped-call]
    """Sizes and names of the parts.

    Attributes:
        text_config: configuration of the wrapped transformers causal language model.
        encoder: a name of `vlbm.list_encoders()`, or "tower".
        vision_config: configuration of the vision tower of transformers, where the encoder is one.
        fusion: a name of `vlbm.list_fusions()`.
        fusion_layers: the fusion acts on the output of these layers of the language model (counted from 0); none for
            a fusion that acts on the prompt.
        fusion_heads, fusion_head_width: heads of the cross-attention and channels of each.
        image_size: side in pixels of the square that the encoder sees; None is the encoder's own.
        image_mean, image_std: normalisation of pixels scaled to [0, 1]; None is the encoder's own.
        image_views: views of each picture whose class probabilities are averaged (see `processing`).
        fusion_begins: the fusion acts from the "answer" on, or from the "question" that it answers.
        languages: of names and captions in the evidence, as BCP 47 tags; the first one stands in for the others.
        class_groups: everyday names that the encoder's classes add up to (0: the encoder's classes are not evidence).
        class_kinds: kinds of thing that classes are told apart by (0: none).
        name_tokens: tokens that the longest name may have.
        memory_pictures: pictures in the visual memory (0: none).
        memory_width: width of the learned space in which they are compared (0: features are compared as they are).
        caption_tokens: tokens that the longest caption in the memory may have.
        evidence_groups, evidence_fine, evidence_neighbours: how many everyday names, fine names and captions enter the
            fused memory.
        evidence_regions: how many regions of a picture are looked at one by one (0: none).
    """

    model_type = "vlbm"
    sub_configs_defaults = {  # noqa: RUF012 (the base class declares it so)
        "text_config": SubConfigSpec(config_class=AutoConfig, model_type="llama"),
        "vision_config": SubConfigSpec(config_class=AutoConfig, model_type="vit", optional=True),
    }

    text_config: dict[str, Any] | PreTrainedConfig | None = None
    encoder: str = "efficientnet_lite0"
    vision_config: dict[str, Any] | PreTrainedConfig | None = None
    fusion: str = "weighted_sum"
    fusion_layers: list[int] | tuple[int, ...] = (19, 22, 25, 27, 29)
    fusion_heads: int = 6
    fusion_head_width: int = 64
    image_size: int | None = None
    image_mean: list[float] | tuple[float, ...] | None = None
    image_std: list[float] | tuple[float, ...] | None = None
    image_views: int = 4
    fusion_begins: str = "answer"
    languages: list[str] | tuple[str, ...] = ("en",)
    class_groups: int = 0
    class_kinds: int = 0
    name_tokens: int = 8
    memory_pictures: int = 0
    memory_width: int = 0
    caption_tokens: int = 20
    evidence_groups: int = 5
    evidence_fine: int = 2
    evidence_neighbours: int = 3
    evidence_regions: int = 0
    tie_word_embeddings: bool = True
    format_version: int = FORMAT_VERSION

    def __post_init__(self, **kwargs: Any) -> None:
        # The base class edits what it is given; a live model may still use it.
        self.text_config, self.vision_config = deepcopy(self.text_config), deepcopy(self.vision_config)
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]
        self.fusion_layers, self.languages = tuple(self.fusion_layers), tuple(self.languages)
        text = self.text_config
        if not isinstance(text, PreTrainedConfig):
            raise ConfigError(f"text_config must configure a language model, got {type(text).__name__}")
        if fusion(self.fusion).prompt_tokens and self.fusion_layers:
            raise ConfigError(f"{self.fusion} acts on the prompt, not on layers: fusion_layers must be empty")
        if not fusion(self.fusion).prompt_tokens and not self.fusion_layers:
            raise ConfigError(f"{self.fusion} acts on layers: fusion_layers must name at least one")
        if self.fusion_begins not in BEGINNINGS:
            raise ConfigError(f"unknown fusion_begins {self.fusion_begins!r}: use one of {', '.join(BEGINNINGS)}")
        if not self.languages:
            raise ConfigError("languages must name at least one")
        self._fit_encoder()
        self.tie_word_embeddings = bool(text.tie_word_embeddings)
        layers = int(text.num_hidden_layers)
        wrong = [layer for layer in self.fusion_layers if not 0 <= layer < layers]
        if wrong:
            raise ConfigError(f"fusion_layers {wrong} do not exist: the language model has layers 0 to {layers - 1}")
        if self.format_version > FORMAT_VERSION:
            raise ConfigError(
                f"format_version {self.format_version} is newer than this library's {FORMAT_VERSION}: update vlbm"
            )

    def _fit_encoder(self) -> None:
        """What the encoder sees, completed from its row."""
        if isinstance(self.vision_config, PreTrainedConfig):
            self.vision_config = vision_part(self.vision_config)
        if (self.encoder == TOWER) != (self.vision_config is not None):
            raise ConfigError(f"encoder {self.encoder!r} does not fit: it is {TOWER!r} where vision_config is given")
        spec = self.encoder_spec
        size = spec.image_size
        if self.image_size not in (None, size):
            raise ConfigError(f"image_size {self.image_size} does not fit: {spec.name} sees {size} x {size} pixels")
        if self.class_groups and not spec.classes:
            raise ConfigError(f"class_groups {self.class_groups} does not fit: {spec.name} has no classes to name")
        self.image_size = size
        self.image_mean = tuple(self.image_mean or spec.mean)
        self.image_std = tuple(self.image_std or spec.std)

    @property
    def encoder_spec(self) -> EncoderSpec:
        """The encoder's row of the registry, or the vision tower's own."""
        tower = self.vision_config
        return tower_spec(tower) if isinstance(tower, PreTrainedConfig) else encoder(self.encoder)
