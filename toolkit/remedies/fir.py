"""The bilinear low-pass of StyleGAN2 behind every learned enlargement."""

from __future__ import annotations

from torch import nn

from checkerscope.toolkit import filters
from checkerscope.toolkit.remedies._after import filtered

LABEL = "Low-pass after the layer"
SOURCE = "Karras 2020, arXiv:1912.04958"
PROMISE = "needs fine-tuning"
APPLIES_TO = ("transposed convolution", "sub-pixel shuffle")
COST = "a depthwise convolution of up to 2 s taps per axis and layer; blurs"


def apply(module: nn.Module, *, places: str = "all") -> nn.Module:
    """Return a copy of `module` with the filter of linear interpolation, sum 1, behind every learned enlargement.

    At s = 2 it is [1, 3, 3, 1] / 8 per axis, with a double zero at the alias frequency; it moves the map by half a
    pixel where s is even, which a fine-tune undoes.

    Args:
        module: Any module with transposed convolutions or pixel shuffles.
        places: `all` enlargements or only the `last`.

    Raises:
        ValueError: If there is no such layer.
    """
    return filtered(module, "fir", lambda scale: filters.sampled(filters.triangle, 1.0, scale), places)
