"""Pixel transposed convolution (PixelDCL): the phases are made one after the other, each from those before."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from checkerscope.toolkit import checks, filters
from checkerscope.toolkit.contracts.upsampler import Context, Kernel, Layout, Upsampler, shuffle


class PixelTransposedConv(Upsampler):
    """Phase (0, 0) is a = conv(x), phase (1, 1) is b = conv(a); (0, 1) and (1, 0) are a masked convolution of both.

    The masked convolution acts at high resolution on the map that holds a and b and zeros between; only taps at an odd
    distance |i| + |j| from the centre count, so that it fills just the two missing phases.
    k^2 (C_in C_out + 2 C_out^2) weights, of which half of the last C_out^2 k^2 never act. Zero padding. Defined for
    scale 2 in 2-D.

    The authors' program has no bias; here one per output channel, the same for all phases, comes last.

    Args:
        kernel_size: Odd number of taps per axis of all three kernels, from 3.
        bias: Whether a bias per output channel is learned.
    """

    label = "Pixel transposed conv"
    source = "Gao 2017, arXiv:1705.06820"
    linear = True
    convex = False
    layouts = ("conv",)
    scales = (2,)
    dims = (2,)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        scale: int = 2,
        spatial_dims: int = 2,
        kernel_size: int = 3,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, scale=scale, spatial_dims=spatial_dims)
        k = checks.odd("pixel_transposed_conv: kernel_size", kernel_size)
        checks.integer("pixel_transposed_conv: kernel_size", k, minimum=3)
        self.first = nn.Conv2d(in_channels, out_channels, k, padding=k // 2, bias=False)
        self.second = nn.Conv2d(out_channels, out_channels, k, padding=k // 2, bias=False)
        self.between = nn.Conv2d(out_channels, out_channels, k, padding=k // 2, bias=False)
        self.bias = nn.Parameter(self.first.weight.new_zeros(out_channels)) if bias else None
        at = torch.arange(k)
        self.mask = filters.Constant((at[:, None] + at) % 2)  # the centre is taken off twice, which is even

    def upsample(self, x: Tensor, context: Context | None) -> Tensor:
        """Return the interleaved phases."""
        a = self.first(x)
        b = self.second(a)
        nothing = torch.zeros_like(a)
        known = shuffle(torch.stack([a, nothing, nothing, b], 2).flatten(1, 2), 2)
        weight = self.between.weight * self.mask()
        return known + F.conv2d(known, weight, self.bias, padding=weight.shape[-1] // 2)

    def kernels(self) -> Iterator[Kernel]:
        """Yield the three convolutions; the last is masked and comes with the bias."""
        layout = Layout("conv", (1, 1))
        yield Kernel(self.first.weight, layout)
        yield Kernel(self.second.weight, layout)
        yield Kernel(self.between.weight, layout, self.bias)
