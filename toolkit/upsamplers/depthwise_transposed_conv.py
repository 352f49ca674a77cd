"""Depthwise transposed convolution: every channel by itself, starting as bilinear interpolation."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from checkerscope.toolkit import filters
from checkerscope.toolkit.contracts.upsampler import Context, FixedUpsampler, Kernel, Layout, exact_padding


class DepthwiseTransposedConv(FixedUpsampler):
    """One learned filter per channel, k = 2 s - s % 2 taps per axis, no bias.

    As in fully convolutional networks it starts as bilinear interpolation (taps that sum to s per axis, equal to
    `bilinear` inside; the border differs, because the map ends with zeros). A bias-free 1x1 convolution comes first
    where C_in differs from C_out.
    """

    label = "Depthwise transposed"
    source = "Long 2015, arXiv:1411.4038"
    linear = True
    convex = False
    layouts = ("conv", "transposed")

    def __init__(self, in_channels: int, out_channels: int, *, scale: int = 2, spatial_dims: int = 2) -> None:
        super().__init__(in_channels, out_channels, scale=scale, spatial_dims=spatial_dims)
        taps = filters.sampled(filters.triangle, 1.0, scale).to(torch.get_default_dtype())
        kernel = filters.outer(taps, spatial_dims)
        self.weight = nn.Parameter(kernel.repeat(out_channels, 1, *(1,) * spatial_dims))

    def enlarge(self, x: Tensor, context: Context | None) -> Tensor:
        """Return the depthwise transposed convolution."""
        padding, output_padding = exact_padding(self.weight.shape[-1], self.scale)
        transposed = filters.transposed(self.spatial_dims)
        return transposed(x, self.weight, None, self.scale, padding, output_padding, self.out_channels)

    def kernels(self) -> Iterator[Kernel]:
        """Yield the 1x1 convolution, if there is one, and the filters."""
        yield from super().kernels()
        strides = (self.scale,) * self.spatial_dims
        yield Kernel(self.weight, Layout("transposed", strides, groups=self.out_channels))
