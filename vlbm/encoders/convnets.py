"""The convolutional networks of torchvision as encoders: one row each.

The grid is the last feature map before pooling. Its mean is `pooled`, which is also what every classifier but VGG's
takes; VGG's takes the whole map. Weights are ImageNet's, fetched by torchvision where there is a network, or from a
file.
This module knows nothing of language.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

import vlbm._torchvision  # noqa: F401 (must run before torchvision)
from vlbm.encoders.spec import Encoder, EncoderSpec, Seen, Stage
from vlbm.encoders.stages import by_resolution
from vlbm.errors import WeightsMissing
from vlbm.weights_file import read_weights

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
STRIDE = 32  # pixels of a cell's side in all of them
# name: d_v, and the side in pixels of the pictures that torchvision's default weights were evaluated with
_ROWS = {
    "vgg11": (512, 224),
    "vgg13": (512, 224),
    "vgg16": (512, 224),
    "vgg19": (512, 224),
    "resnet18": (512, 224),
    "resnet34": (512, 224),
    "resnet50": (2048, 224),
    "resnet101": (2048, 224),
    "efficientnet_b0": (1280, 224),
    "efficientnet_b1": (1280, 240),
    "efficientnet_b2": (1408, 288),
    "efficientnet_b3": (1536, 300),
    "mobilenet_v3_large": (960, 224),
    "convnext_tiny": (768, 224),
}


class ConvNet(Encoder):
    """A classification network of torchvision, with random weights.

    Args:
        name: of torchvision's registry of models.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        from torchvision.models import get_model

        self.net: Any = get_model(name, weights=None)

    def forward(self, pixel_values: torch.Tensor) -> Seen:
        """pixel_values [b,3,h,w], normalised -> Seen."""
        features = self._features(pixel_values)  # [b,d_v,h/32,w/32]
        grid = features.flatten(2).transpose(1, 2)  # [b,n,d_v]
        pooled = grid.mean(dim=1)
        return Seen(grid=grid, pooled=pooled, logits=self._classify(self.net.avgpool(features)), style=pooled)

    def stages(self) -> list[Stage]:
        """VGG's five blocks, ResNet's stem and four layers, the resolutions of the others; no classifier."""
        net = self.net
        if hasattr(net, "features"):
            return by_resolution(net.features)
        return by_resolution([net.conv1, net.bn1, net.maxpool, net.layer1, net.layer2, net.layer3, net.layer4])

    def _features(self, pixels: torch.Tensor) -> torch.Tensor:
        net = self.net
        if hasattr(net, "features"):
            features: torch.Tensor = net.features(pixels)
            return features
        stem = net.maxpool(net.relu(net.bn1(net.conv1(pixels))))  # ResNet's
        deep: torch.Tensor = net.layer4(net.layer3(net.layer2(net.layer1(stem))))
        return deep

    def _classify(self, pooled: torch.Tensor) -> torch.Tensor:
        head = self.net.classifier if hasattr(self.net, "classifier") else self.net.fc
        takes_a_map = any(isinstance(part, nn.Flatten) for part in head.children())  # ConvNeXt's flattens by itself
        logits: torch.Tensor = head(pooled if takes_a_map else pooled.flatten(1))
        return logits


def pretrained(name: str, path: Path | None) -> dict[str, torch.Tensor]:
    """ImageNet weights of a network under `ConvNet`'s keys.

    Args:
        name: of the network.
        path: a file with torchvision's keys (`.pth`, `.pt` or `.safetensors`); None fetches torchvision's default ones.

    Raises:
        WeightsMissing: the file is not there, or nothing can be fetched.
        WeightsDamaged: the file is not weights of this network.
    """
    from torchvision.models import get_model, get_model_weights

    if path is not None:
        with torch.device("meta"):
            wanted = get_model(name, weights=None).state_dict()
        state = read_weights(path, wanted, name)
    else:
        weights = get_model_weights(name).DEFAULT
        try:
            state = weights.get_state_dict(progress=False, check_hash=True)
        except OSError as error:  # URLError is one
            raise WeightsMissing(
                f"the weights of {name} could not be fetched from {weights.url} ({error}): give a local file with "
                "torchvision's keys, or build the encoder with random weights"
            ) from error
    return {f"net.{key}": value for key, value in state.items()}


def _spec(name: str, width: int, size: int) -> EncoderSpec:
    return EncoderSpec(
        name=name,
        licence="BSD-3-Clause",
        width=width,
        cells=(-(-size // STRIDE)) ** 2 if not name.startswith(("vgg", "convnext")) else (size // STRIDE) ** 2,
        style=width,
        classes=1000,
        image_size=size,
        mean=MEAN,
        std=STD,
        build=partial(ConvNet, name),
        weights=partial(pretrained, name),
    )


CONVNETS = tuple(_spec(name, width, size) for name, (width, size) in _ROWS.items())
