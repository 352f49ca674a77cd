"""Zero-order hold: a running mean over s values per axis behind every learned enlargement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from checkerscope.toolkit import filters
from checkerscope.toolkit.remedies._after import filtered

LABEL = "Hold after the layer"
SOURCE = "Sugawara 2018, arXiv:1806.02658"
PROMISE = "needs fine-tuning"
APPLIES_TO = ("transposed convolution", "sub-pixel shuffle")
COST = "a depthwise convolution of s taps per axis and layer; blurs"
#: Option sets that an audit tries.
TRIALS: tuple[dict[str, str], ...] = ({}, {"places": "output"})


def apply(
    module: nn.Module, *, places: str = "all", period: int | Sequence[int] | None = None, example: Any = None
) -> nn.Module:
    """Return a copy of `module` with a box of s ones, sum 1, behind every learned enlargement.

    The factor H0 vanishes at every alias frequency, so all phase gains are equal, a sub-pixel layer's bias included.
    The map continues with its border values. An even s moves the map by half a pixel, which a fine-tune undoes.

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

    >>> import torch
    >>> layer = apply(nn.ConvTranspose2d(1, 1, 4, stride=2, padding=1))
    >>> bool(layer(torch.ones(1, 1, 8, 8))[..., 4:-4, 4:-4].std() < 1e-6)
    True
    """
    return filtered(module, "hold", filters.box, places=places, period=period, example=example)
