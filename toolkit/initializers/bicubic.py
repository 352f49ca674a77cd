"""Bicubic: the kernel starts as cubic convolution along every axis, channel by channel."""

from __future__ import annotations

import torch
from torch import Tensor

from checkerscope.toolkit import filters
from checkerscope.toolkit.contracts.upsampler import Layout
from checkerscope.toolkit.initializers._interpolation import block_channels, channel_means, write

LABEL = "Bicubic"
SOURCE = "Keys 1981, doi:10.1109/TASSP.1981.1163711 (a = -0.75 as in torch; -0.5 in the paper)"
LAYOUTS = ("conv", "transposed", "sub_pixel")


def fill(kernel: Tensor, layout: Layout, *, scale: int, generator: torch.Generator, a: float = -0.75) -> None:
    """Write Keys' kernel with parameter `a`: taps that sum to s per axis.

    s is the layout's own stride: a convolution of stride one starts as the identity. Channels are passed on as in
    `identity`.

    Raises:
        ValueError: If an axis has fewer than 4 s - s % 2 taps, or for a sub-pixel kernel fewer than 5.
    """
    axes = [filters.sampled(lambda t: filters.keys(t, a), 2.0, s) if s > 1 else filters.box(1) for s in layout.strides]
    write(kernel, layout, axes, channel_means(*block_channels(kernel, layout)))
