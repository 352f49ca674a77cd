"""Bilinear: the kernel starts as linear interpolation along every axis, channel by channel."""

from __future__ import annotations

import torch
from torch import Tensor

from checkerscope.toolkit import filters
from checkerscope.toolkit.contracts.upsampler import Layout
from checkerscope.toolkit.initializers._interpolation import block_channels, channel_means, write

LABEL = "Bilinear"
SOURCE = "Long 2015, arXiv:1411.4038"
LAYOUTS = ("conv", "transposed", "sub_pixel")


def fill(kernel: Tensor, layout: Layout, *, scale: int, generator: torch.Generator) -> None:
    """Write 1 - |t| at t = (j + 1/2) / s - 1/2 low-resolution pixels: taps that sum to s per axis.

    s is the layout's own stride: a convolution of stride one starts as the identity. Inside the map the layer equals
    the `bilinear` upsampler. Channels are passed on as in `identity`, not summed.

    Raises:
        ValueError: If an axis has fewer than 2 s - s % 2 taps, or for a sub-pixel kernel fewer than 3.
    """
    axes = [filters.sampled(filters.triangle, 1.0, stride) for stride in layout.strides]
    write(kernel, layout, axes, channel_means(*block_channels(kernel, layout)))
