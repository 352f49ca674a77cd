"""Fixed smoothing of any order behind every learned enlargement."""

from __future__ import annotations

from torch import nn

from checkerscope.toolkit import checks, filters
from checkerscope.toolkit.remedies._after import filtered

LABEL = "Smoothing after the layer"
SOURCE = "Kinoshita 2020, arXiv:2002.02117"
PROMISE = "needs fine-tuning"
APPLIES_TO = ("transposed convolution", "sub-pixel shuffle")
COST = "a depthwise convolution of (order + 1)(s - 1) + 1 taps per axis and layer; blurs"


def apply(module: nn.Module, *, order: int = 1, places: str = "all") -> nn.Module:
    """Return a copy of `module` with the box of s ones convolved `order` times with itself behind every enlargement.

    Zeros of multiplicity `order + 1` at the alias frequencies; order 0 is `hold`. At s = 2 and order 1 the filter is
    [1, 2, 1] / 4, which moves nothing.

    Args:
        module: Any module with transposed convolutions or pixel shuffles.
        order: Of the filter.
        places: `all` enlargements or only the `last`.

    Raises:
        ValueError: If there is no such layer, or the order is no integer from 0.
    """
    checks.integer("smooth: order", order, minimum=0)
    return filtered(module, "smooth", lambda scale: filters.bspline(order, scale), places)
