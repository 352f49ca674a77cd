"""Lanczos interpolation, with pixels as areas."""

from __future__ import annotations

from checkerscope.toolkit import checks, filters
from checkerscope.toolkit.upsamplers._filtered import FilterUpsampler


class Lanczos(FilterUpsampler):
    """Windowed sinc of `lobes` lobes along every axis, every phase divided by its gain.

    Without that division scales above 2 leave a tone on constants (-57 dB for 3 lobes).

    Args:
        lobes: Half-width of the window in low-resolution pixels.
    """

    label = "Lanczos"
    source = "Duchon 1979, J. Applied Meteorology 18:1016"
    linear = True
    convex = False
    layouts = ("conv",)

    def __init__(
        self, in_channels: int, out_channels: int, *, scale: int = 2, spatial_dims: int = 2, lobes: int = 3
    ) -> None:
        super().__init__(in_channels, out_channels, scale=scale, spatial_dims=spatial_dims)
        checks.integer("lanczos: lobes", lobes)
        taps = filters.sampled(lambda t: filters.lanczos(t, lobes), lobes, scale)
        self.taps = filters.Constant(filters.with_equal_phases(taps, scale))
