"""Transposed convolution followed by a zero-order hold."""

from __future__ import annotations

from checkerscope.toolkit import filters
from checkerscope.toolkit.upsamplers._filtered import FilteredTransposedConv


class HoldConv(FilteredTransposedConv):
    """H(z) = P(z) H0(z): a transposed convolution, then a running sum over s values per axis.

    The factor H0, a box of s ones, makes all phase gains equal whatever is learned. With a kernel of odd size this is
    exactly `nearest_conv` with the kernel reversed, zero padding included.

    Args:
        kernel_size: Taps per axis of the learned factor P; None for 2 * scale, or 3 at scale 1.
        bias: Whether a bias per output channel is learned; it comes after the hold, the same for all phases.
    """

    label = "Transposed conv + hold"
    source = "Sugawara 2018, arXiv:1806.02658"
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
        kernel_size: int | None = None,
        bias: bool = True,
    ) -> None:
        super().__init__(
            in_channels, out_channels, scale=scale, spatial_dims=spatial_dims, kernel_size=kernel_size, bias=bias
        )
        self.taps = filters.Constant(filters.box(scale))
