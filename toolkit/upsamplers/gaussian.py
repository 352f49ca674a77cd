"""Gaussian interpolation, with pixels as areas."""

from __future__ import annotations

from checkerscope.toolkit import checks, filters
from checkerscope.toolkit.upsamplers._filtered import FilterUpsampler


class Gaussian(FilterUpsampler):
    """Gaussian of `sigma` low-resolution pixels along every axis, cut at four sigma, every phase divided by its gain.

    Args:
        sigma: Standard deviation in low-resolution pixels, from 0.3: below, phases far from a pixel are left empty.
    """

    label = "Gaussian"
    source = "textbook (kernel regression; Nadaraya 1964, doi:10.1137/1109020)"
    linear = True
    convex = True
    layouts = ("conv",)

    def __init__(
        self, in_channels: int, out_channels: int, *, scale: int = 2, spatial_dims: int = 2, sigma: float = 0.5
    ) -> None:
        super().__init__(in_channels, out_channels, scale=scale, spatial_dims=spatial_dims)
        if not 0.3 <= sigma < float("inf"):
            raise checks.mismatch("gaussian: sigma", "a number from 0.3", sigma, "use 0.5")
        taps = filters.sampled(lambda t: filters.gaussian(t, sigma), 4 * sigma, scale)
        self.taps = filters.Constant(filters.with_equal_phases(taps, scale))
