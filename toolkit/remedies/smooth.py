"""Fixed smoothing of any order behind every learned enlargement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from checkerscope.toolkit import checks, filters
from checkerscope.toolkit.remedies._after import filtered

LABEL = "Smoothing after the layer"
SOURCE = "Kinoshita 2020, arXiv:2002.02117"
PROMISE = "needs fine-tuning"
APPLIES_TO = ("transposed convolution", "sub-pixel shuffle")
COST = "a depthwise convolution of (order + 1)(s - 1) + 1 taps per axis and layer; blurs"
#: Option sets that an audit tries.
TRIALS: tuple[dict[str, str], ...] = ({}, {"places": "output"})


def apply(
    module: nn.Module,
    *,
    order: int = 1,
    places: str = "all",
    period: int | Sequence[int] | None = None,
    example: Any = None,
) -> nn.Module:
    """Return a copy of `module` with the box of s ones convolved `order` times with itself behind every enlargement.

    Zeros of multiplicity `order + 1` at the alias frequencies; order 0 is `hold`. At s = 2 and order 1 the filter is
    [1, 2, 1] / 4, which moves nothing.

    Args:
        module: Any module with transposed convolutions or shuffles, as layers or as calls in its `forward`; for the
            output any module.
        order: Of the filter.
        places: Behind `all` enlargements, only the `last`, or the `output` of the whole, which works whatever makes
            the grid and blurs most.
        period: Of the grid in the output, for all axes or one each; by default the product of the strides.
        example: Of the module's input (a tensor, a tuple, a dictionary), with which calls are found; by default a
            flat map that fits the first layer.

    Raises:
        ValueError: If there is no such layer, or the order is no integer from 0.
    """
    checks.integer("smooth: order", order, minimum=0)
    return filtered(
        module, "smooth", lambda scale: filters.bspline(order, scale), places=places, period=period, example=example
    )
