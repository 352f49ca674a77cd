"""Constant: every weight the same, by default the 0.25 that is often taken for bilinear interpolation."""

from __future__ import annotations

import torch
from torch import Tensor

from checkerscope.toolkit.contracts.upsampler import Layout

LABEL = "Constant"
SOURCE = "folklore: a 2x2 kernel of 0.25 as 'bilinear' start of a transposed convolution"
LAYOUTS = ("conv", "transposed", "sub_pixel")


def fill(kernel: Tensor, layout: Layout, *, scale: int, generator: torch.Generator, value: float = 0.25) -> None:
    """Write `value` everywhere.

    This is not bilinear: at k = s = 2 it is 0.25 times nearest of the sum over all input channels (gain C_in / 4), and
    all output channels are equal, a matrix of rank one.
    """
    kernel.fill_(value)
