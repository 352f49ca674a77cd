"""Dirac: a single one per pair of equal channels, which for a kernel that enlarges is zero insertion."""

from __future__ import annotations

import torch
from torch import Tensor

from checkerscope.toolkit import filters
from checkerscope.toolkit.contracts.upsampler import Layout
from checkerscope.toolkit.initializers._interpolation import block_channels, write

LABEL = "Dirac"
SOURCE = "torch.nn.init.dirac_ (Zagoruyko 2017, arXiv:1706.00388)"
LAYOUTS = ("conv", "transposed", "sub_pixel")


def fill(kernel: Tensor, layout: Layout, *, scale: int, generator: torch.Generator) -> None:
    """Write one where input and output channel agree: at the middle tap, or on the first pixel of every cell.

    A kernel that enlarges starts as zero insertion: 1 - 1 / s^d of a constant's energy is tone. Surplus outputs start
    at zero. torch's function knows no layout and would spread a sub-pixel kernel's channels over the phases.
    """
    axes = [filters.box(1) for _ in layout.strides]
    write(kernel, layout, axes, torch.eye(*block_channels(kernel, layout), dtype=torch.float64))
