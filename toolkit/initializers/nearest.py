"""Nearest: the kernel starts by repeating every value over the pixels of its cell, channel by channel."""

from __future__ import annotations

import torch
from torch import Tensor

from checkerscope.toolkit import filters
from checkerscope.toolkit.contracts.upsampler import Layout
from checkerscope.toolkit.initializers._interpolation import block_channels, channel_means, write

LABEL = "Nearest"
SOURCE = "textbook (zero-order hold)"
LAYOUTS = ("conv", "transposed", "sub_pixel")


def fill(kernel: Tensor, layout: Layout, *, scale: int, generator: torch.Generator) -> None:
    """Write a box of s ones per axis.

    s is the layout's own stride: a convolution of stride one starts as the identity. Channels are passed on as in
    `identity`.

    Raises:
        ValueError: If an axis of a transposed kernel has fewer than s taps.
    """
    axes = [filters.box(stride) for stride in layout.strides]
    write(kernel, layout, axes, channel_means(*block_channels(kernel, layout)))
