"""Transposed convolution followed by the bilinear filter, as in StyleGAN2."""

from __future__ import annotations

from checkerscope.toolkit import filters
from checkerscope.toolkit.upsamplers._filtered import FilteredTransposedConv


class TransposedConvFIR(FilteredTransposedConv):
    """Transposed convolution of stride s, then a fixed low-pass with zeros at the alias frequencies.

    At scale 2 the filter is StyleGAN2's [1, 3, 3, 1] / 4 per axis, which is bilinear interpolation; other scales take
    the bilinear filter of that scale. StyleGAN2's weight scaling is left out.

    Args:
        kernel_size: Taps per axis of the transposed convolution, 3 as in StyleGAN2.
        bias: Whether a bias per output channel is learned.
    """

    label = "Transposed conv + FIR"
    source = "Karras 2020, arXiv:1912.04958"
    linear = True
    convex = False
    layouts = ("transposed",)

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
        super().__init__(
            in_channels, out_channels, scale=scale, spatial_dims=spatial_dims, kernel_size=kernel_size, bias=bias
        )
        self.taps = filters.Constant(filters.sampled(filters.triangle, 1.0, scale))
