"""Vision towers of transformers as encoders: ViT, DeiT, DINOv2, the picture's part of CLIP and SigLIP, and their kin.

A tower is any vision model that cuts a square picture into square patches and returns one state a patch, after at most
two tokens of its own (class, distillation) and the registers that it declares. Those are left out of the grid; the mean
of the grid is `pooled`. Positions are those that the tower was trained with: pictures have its own size, and nothing is
interpolated. A tower has no classes, so it gives no names as evidence.
This module knows nothing of language.
"""

from __future__ import annotations

import inspect
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from math import isqrt
from pathlib import Path
from typing import Any

import torch

import vlbm._torchvision  # noqa: F401 (must run before transformers)

# isort: split
from transformers import MODEL_MAPPING, AutoConfig, AutoImageProcessor, AutoModel, PreTrainedConfig, PreTrainedModel

from vlbm.encoders.spec import Encoder, EncoderSpec, Seen, Stage
from vlbm.errors import ConfigError, VLBMError, WeightsDamaged, WeightsMissing
from vlbm.weights_file import read_weights

HALVES = (0.5, 0.5, 0.5)  # what ViT and SigLIP normalise with
OWN_TOKENS = 2  # class and distillation
USE = "use a vision tower such as ViT, CLIP, SigLIP or DINOv2"
PATCHED = "siglip2_vision_model"  # takes pictures already cut into patches


class Tower(Encoder):
    """A vision tower with random weights, without its pooling head.

    Args:
        config: of the tower.
    """

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__()
        config = deepcopy(config)
        config.dtype = None  # as the rest of the model, whatever the checkpoint was kept in
        if hasattr(config, "vision_use_head"):
            config.vision_use_head = False
        options = {"add_pooling_layer": False} if "add_pooling_layer" in _options(config) else {}
        self.net: Any = AutoModel.from_config(config, **options)  # type: ignore[no-untyped-call]
        self.cells = tower_spec(config).cells
        self.own_tokens = OWN_TOKENS + (getattr(config, "num_register_tokens", 0) or 0)

    def forward(self, pixel_values: torch.Tensor) -> Seen:
        """pixel_values [b,3,h,w], normalised -> Seen with logits [b,0].

        Raises:
            ConfigError: the model does not return one state a patch.
        """
        states = self.net(**self._inputs(pixel_values)).last_hidden_state  # [b,own + n,d_v]
        own = states.shape[1] - self.cells if states.ndim == 3 else -1
        if not 0 <= own <= self.own_tokens:
            raise ConfigError(
                f"a {self.net.config.model_type} returns states of {tuple(states.shape[1:])}, not one for each of "
                f"{self.cells} patches: {USE}"
            )
        grid = states[:, own:]
        pooled = grid.mean(dim=1)
        return Seen(grid=grid, pooled=pooled, logits=grid.new_zeros(len(grid), 0), style=pooled)

    @torch.no_grad()
    def check(self) -> None:
        """Look at a black picture.

        Raises:
            ConfigError: the model does not take pictures, or does not return one state a patch.
        """
        size = tower_spec(self.net.config).image_size
        parameter = next(self.parameters())
        try:
            self(torch.zeros(1, 3, size, size, dtype=parameter.dtype, device=parameter.device))
        except VLBMError:
            raise
        except Exception as error:  # whatever a model that is no tower makes of a picture
            raise ConfigError(f"a {self.net.config.model_type} takes no pictures [b,3,h,w] ({error}): {USE}") from error

    def stages(self) -> list[Stage]:
        """Its layers; the last has the final norm."""
        layers = next(
            part
            for part in self.net.modules()
            if isinstance(part, torch.nn.ModuleList) and len(part) == self.net.config.num_hidden_layers
        )
        norms = [part for name, part in self.net.named_children() if name in ("norm", "layernorm", "post_layernorm")]
        return [(layers[-1], *norms), *((layer,) for layer in reversed(layers[:-1]))]

    def _inputs(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        if self.net.config.model_type != PATCHED:
            return {"pixel_values": pixels}
        side, patch = isqrt(self.cells), self.net.config.patch_size
        b, channels = pixels.shape[:2]
        cut = pixels.view(b, channels, side, patch, side, patch).permute(0, 2, 4, 3, 5, 1)  # [b,rows,columns,p,p,3]
        mask = torch.ones(b, self.cells, dtype=torch.long, device=pixels.device)
        shapes = torch.full((b, 2), side, device=pixels.device)
        return {"pixel_values": cut.flatten(3).flatten(1, 2), "pixel_attention_mask": mask, "spatial_shapes": shapes}


def _options(config: PreTrainedConfig) -> tuple[str, ...]:
    kind: Any = MODEL_MAPPING[type(config)]
    return tuple(inspect.signature(kind).parameters)


def tower_spec(config: PreTrainedConfig) -> EncoderSpec:
    """A tower's row, as its configuration declares it: n is (image_size / patch_size) squared, d_v is hidden_size.

    Raises:
        ConfigError: it is no vision tower, or not one of square pictures.
    """
    patch = _number(config, "patch_size")
    if config.model_type == PATCHED:
        size = patch * isqrt(config.num_patches)
        if (size // patch) ** 2 != config.num_patches:
            raise ConfigError(f"num_patches {config.num_patches} is no square: the tower sees squares only")
    else:
        size = _number(config, "image_size")
    width, channels = _number(config, "hidden_size"), _number(config, "num_channels")
    if channels != 3:
        raise ConfigError(f"num_channels {channels} does not fit: pictures have 3")
    return EncoderSpec(
        name=config.model_type,
        licence="the checkpoint's own",
        width=width,
        style=width,
        cells=(size // patch) ** 2,
        classes=0,
        image_size=size,
        mean=HALVES,
        std=HALVES,
        build=partial(Tower, config),
        weights=partial(_weights, config),
    )


def _number(config: PreTrainedConfig, name: str) -> int:
    """A field of a configuration; of a pair of equal numbers the one."""
    value = getattr(config, name, None)
    if isinstance(value, (list, tuple)) and len(set(value)) == 1:
        value = value[0]
    if isinstance(value, int):
        return value
    if value is None:
        raise ConfigError(f"a {config.model_type} has no {name}: {USE}")
    raise ConfigError(f"{name} {value} is not square: the tower sees squares only")


def _weights(config: PreTrainedConfig, path: Path | None) -> dict[str, torch.Tensor]:
    """A tower's weights from a file with its own keys."""
    if path is None:
        raise WeightsMissing("a tower's weights come with its folder or name, or from a file: give one of them")
    with torch.device("meta"):
        wanted = Tower(config).net.state_dict()
    return {f"net.{key}": value for key, value in read_weights(path, wanted, config.model_type).items()}


@dataclass(frozen=True, slots=True)
class FoundTower:
    """A tower as it was found.

    Attributes:
        config: of the tower alone.
        state: its weights under `Tower`'s keys; None where there are none.
        normalisation: `image_mean` and `image_std` of its image processor; empty without one.
    """

    config: PreTrainedConfig
    state: dict[str, torch.Tensor] | None = None
    normalisation: dict[str, tuple[float, ...]] = field(default_factory=dict)


def vision_part(config: PreTrainedConfig) -> PreTrainedConfig:
    """The vision tower's configuration of a model that has more parts; any other as it is."""
    part = getattr(config, "vision_config", None)
    return part if isinstance(part, PreTrainedConfig) else config


def find_tower(source: str | Path | PreTrainedConfig | PreTrainedModel, *, weights: bool) -> FoundTower:
    """A tower from a folder or the name on a hub, loaded, or as a configuration.

    Args:
        source: of a vision model, or of one that has a vision part.
        weights: read them too.

    Raises:
        ConfigError: it is no vision tower.
        WeightsMissing: there is no such folder or name, or it has no weights.
        WeightsDamaged: the weights lack some of the tower's.
    """
    if isinstance(source, PreTrainedConfig):
        return FoundTower(_checked(source))
    if isinstance(source, PreTrainedModel):
        return FoundTower(_checked(source.config), _state(source, frozenset()) if weights else None)
    name = str(source)
    config = _checked(AutoConfig.from_pretrained(name))
    state = None
    if weights:
        try:
            loaded, report = AutoModel.from_pretrained(name, output_loading_info=True)
        except OSError as error:
            raise WeightsMissing(f"the weights of the vision tower {name!r} are not there: {error}") from error
        state = _state(loaded, frozenset(report["missing_keys"]))
    return FoundTower(config, state, _normalisation(name))


def _checked(config: PreTrainedConfig) -> PreTrainedConfig:
    part = vision_part(config)
    tower_spec(part)  # refuses what is no tower, before weights are fetched
    return part


def _state(model: PreTrainedModel, missing: frozenset[str]) -> dict[str, torch.Tensor]:
    """The tower's weights out of a loaded model."""
    kind: Any = MODEL_MAPPING[type(vision_part(model.config))]
    place, tower = next((name, part) for name, part in model.named_modules() if isinstance(part, kind))
    with torch.device("meta"):
        wanted = list(Tower(tower.config).net.state_dict())
    state = tower.state_dict()
    lacks = [key for key in wanted if key not in state or f"{place}.{key}".lstrip(".") in missing]
    if lacks:
        raise WeightsDamaged(f"the vision tower's weights lack {len(lacks)} keys {lacks[:3]}: use a whole checkpoint")
    return {f"net.{key}": state[key] for key in wanted}


def _normalisation(name: str) -> dict[str, tuple[float, ...]]:
    try:
        images = AutoImageProcessor.from_pretrained(name)  # type: ignore[no-untyped-call]
    except (OSError, ValueError):  # none, or of no known kind
        return {}
    if not images.do_normalize:
        return {"image_mean": (0.0, 0.0, 0.0), "image_std": (1.0, 1.0, 1.0)}
    return {"image_mean": tuple(images.image_mean), "image_std": tuple(images.image_std)}
