"""Cubic convolution, with pixels as areas."""

from __future__ import annotations

from checkerscope.toolkit import filters
from checkerscope.toolkit.upsamplers._filtered import FilterUpsampler


class Bicubic(FilterUpsampler):
    """Keys' cubic convolution at (j + 0.5) / s - 0.5 along every axis; the map continues with its border values.

    Equal to `torch.nn.functional.interpolate(mode="bicubic", align_corners=False)`, which exists in 2-D only.

    Args:
        a: Slope of the profile at t = 1: -0.75 as in torch and OpenCV, -0.5 as in Keys and Pillow.
    """

    label = "Bicubic"
    source = "Keys 1981, doi:10.1109/TASSP.1981.1163711"
    linear = True
    convex = False
    layouts = ("conv",)

    def __init__(
        self, in_channels: int, out_channels: int, *, scale: int = 2, spatial_dims: int = 2, a: float = -0.75
    ) -> None:
        super().__init__(in_channels, out_channels, scale=scale, spatial_dims=spatial_dims)
        self.taps = filters.Constant(filters.sampled(lambda t: filters.keys(t, a), 2.0, scale))
