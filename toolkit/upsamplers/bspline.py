"""B-spline smoothing: the box of the nearest neighbour, convolved with itself."""

from __future__ import annotations

from checkerscope.toolkit import checks, filters
from checkerscope.toolkit.upsamplers._filtered import FilterUpsampler


class BSpline(FilterUpsampler):
    """Zeros inserted, then the discrete B-spline of `order`: a zero of multiplicity order + 1 at every alias frequency.

    Order 0 is the nearest neighbour; order 2 at scale 2 is bilinear. It approximates, it does not interpolate: no
    prefilter. Odd orders at even scales shift the map by half an output pixel.

    Args:
        order: How often the box of s ones is convolved with itself.
    """

    label = "B-spline"
    source = "Kinoshita 2020, arXiv:2002.02117; Unser 1993, doi:10.1109/78.193220"
    linear = True
    convex = True
    layouts = ("conv",)

    def __init__(
        self, in_channels: int, out_channels: int, *, scale: int = 2, spatial_dims: int = 2, order: int = 2
    ) -> None:
        super().__init__(in_channels, out_channels, scale=scale, spatial_dims=spatial_dims)
        checks.integer("bspline: order", order, minimum=0)
        self.taps = filters.Constant(filters.bspline(order, scale))
