"""Fusions: how a language model's states take in what a picture says. One file a fusion, and this registry of them.

Adding one is a file with a subclass of `base.Fusion`, and its row here.
"""

from __future__ import annotations

from vlbm.errors import ConfigError
from vlbm.fusion.base import Fused, Fusion, Memory, Prepared, unit
from vlbm.fusion.bilinear import LowRankBilinear
from vlbm.fusion.flamingo import Flamingo
from vlbm.fusion.prefix import Prefix
from vlbm.fusion.product import Product
from vlbm.fusion.sigmoid_gate import SigmoidGate
from vlbm.fusion.sums import ChannelSum, PooledChannelSum, PooledScalarSum, PooledTokenSum, ScalarSum, TokenSum
from vlbm.fusion.weighted_sum import WeightedSum

__all__ = ["Fused", "Fusion", "Memory", "Prepared", "WeightedSum", "fusion", "list_fusions", "unit"]

_FUSIONS: dict[str, type[Fusion]] = {
    "flamingo": Flamingo,
    "low_rank_bilinear": LowRankBilinear,
    "prefix": Prefix,
    "product": Product,
    "sigmoid_gate": SigmoidGate,
    "sum_channel": ChannelSum,
    "sum_channel_pooled": PooledChannelSum,
    "sum_scalar": ScalarSum,
    "sum_scalar_pooled": PooledScalarSum,
    "sum_token": TokenSum,
    "sum_token_pooled": PooledTokenSum,
    "weighted_sum": WeightedSum,
}


def list_fusions() -> list[str]:
    """Names of the fusions."""
    return sorted(_FUSIONS)


def fusion(name: str) -> type[Fusion]:
    """The registry's row of a name: a module made from `width`, `heads` and `head_width`.

    Raises:
        ConfigError: no such name.
    """
    try:
        return _FUSIONS[name]
    except KeyError:
        raise ConfigError(f"unknown fusion {name!r}: use one of {list_fusions()}") from None
