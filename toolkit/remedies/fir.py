"""The bilinear low-pass of StyleGAN2 behind every learned enlargement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from checkerscope.toolkit import filters
from checkerscope.toolkit.remedies._after import filtered

LABEL = "Low-pass after the layer"
SOURCE = "Karras 2020, arXiv:1912.04958"
PROMISE = "needs fine-tuning"
APPLIES_TO = ("transposed convolution", "sub-pixel shuffle")
COST = "a depthwise convolution of up to 2 s taps per axis and layer; blurs"
#: Option sets that an audit tries.
TRIALS: tuple[dict[str, str], ...] = ({}, {"places": "output"})


def apply(
    module: nn.Module, *, places: str = "all", period: int | Sequence[int] | None = None, example: Any = None
) -> nn.Module:
    """Return a copy of `module` with the filter of linear interpolation, sum 1, behind every learned enlargement.

    At s = 2 it is [1, 3, 3, 1] / 8 per axis, with a double zero at the alias frequency; it moves the map by half a
    pixel where s is even, which a fine-tune undoes.

    Args:
        module: Any module with transposed convolutions or shuffles, as layers or as calls in its `forward`; for the
            output any module.
        places: Behind `all` enlargements, only the `last`, or the `output` of the whole, which works whatever makes
            the grid and blurs most.
        period: Of the grid in the output, for all axes or one each; by default the product of the strides.
        example: Of the module's input (a tensor, a tuple, a dictionary), with which calls are found; by default a
            flat map that fits the first layer.

    Raises:
        ValueError: If there is no such layer.
    """
    return filtered(
        module,
        "fir",
        lambda scale: filters.sampled(filters.triangle, 1.0, scale),
        places=places,
        period=period,
        example=example,
    )
