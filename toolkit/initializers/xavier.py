"""Glorot's rule with a uniform draw, between the true fans of the layout."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from checkerscope.toolkit.contracts.upsampler import Layout

LABEL = "Glorot uniform"
SOURCE = "Glorot 2010, PMLR 9:249, equation 16 (fans of the layout, not torch's)"
LAYOUTS = ("conv", "transposed", "sub_pixel")


def fill(kernel: Tensor, layout: Layout, *, scale: int, generator: torch.Generator, gain: float = 1.0) -> None:
    """Draw U(-b, b) of variance 2 gain^2 / (fan_in + fan_out).

    fan_in is the mean number of weights that reach an output value, fan_out the number that leave an input value: all
    taps to all output channels, and for a sub-pixel kernel to all phases.
    """
    outputs = kernel.shape[1] if layout.kind == "transposed" else kernel.shape[0] / layout.groups
    fan_out = outputs * prod(kernel.shape[2:])
    bound = gain * (6 / (layout.fan_in(kernel) + fan_out)) ** 0.5
    kernel.uniform_(-bound, bound, generator=generator)
