"""Transposed convolution followed by a fixed smoothing kernel of any order."""

from __future__ import annotations

from checkerscope.toolkit import checks, filters
from checkerscope.toolkit.upsamplers._filtered import FilteredTransposedConv


class SmoothConv(FilteredTransposedConv):
    """A transposed convolution, then the box of s ones convolved `order` times with itself.

    Order d puts a zero of multiplicity d + 1 at every alias frequency, whatever is learned; order 0 is `hold_conv`.
    The authors' program cuts the kernel for scales from 4 and orders from 1, which breaks its equal phase gains, and
    leaves its gain at s^(2 (d + 1)); here it is whole, with sum s per axis.

    Args:
        order: d.
        kernel_size: Taps per axis of the learned factor; None for 2 * scale, or 3 at scale 1.
        bias: Whether a bias per output channel is learned; it comes last, the same for all phases.
    """

    label = "Transposed conv + smooth"
    source = "Kinoshita 2020, arXiv:2002.02117"
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
        order: int = 1,
        kernel_size: int | None = None,
        bias: bool = True,
    ) -> None:
        super().__init__(
            in_channels, out_channels, scale=scale, spatial_dims=spatial_dims, kernel_size=kernel_size, bias=bias
        )
        checks.integer("smooth_conv: order", order, minimum=0)
        self.taps = filters.Constant(filters.bspline(order, scale))
