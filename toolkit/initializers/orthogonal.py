"""Orthogonal: the kernel, read as a matrix, starts with orthonormal rows or columns."""

from __future__ import annotations

import torch
from torch import Tensor

from checkerscope.toolkit.contracts.upsampler import Layout

LABEL = "Orthogonal"
SOURCE = "Saxe 2013, arXiv:1312.6120"
LAYOUTS = ("conv", "transposed", "sub_pixel")


def fill(kernel: Tensor, layout: Layout, *, scale: int, generator: torch.Generator, gain: float = 1.0) -> None:
    """Draw every group's block, flattened after its first axis, uniformly from the orthogonal matrices.

    Rows are the output channels of a convolution, output channels and phases of a sub-pixel kernel, input channels of
    a transposed one. A transposed kernel of size s then keeps the norm, and its adjoint is its inverse.
    """
    for block in kernel.chunk(layout.groups):
        torch.nn.init.orthogonal_(block, gain, generator=generator)
