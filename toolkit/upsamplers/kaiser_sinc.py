"""Low-pass interpolation as in StyleGAN3: a Kaiser-windowed sinc."""

from __future__ import annotations

from checkerscope.toolkit import checks, filters
from checkerscope.toolkit.upsamplers._filtered import FilterUpsampler


class KaiserSinc(FilterUpsampler):
    """Kaiser-windowed sinc of about `taps_per_phase` s taps along every axis, every phase divided by its gain.

    At scale 2 these are StyleGAN3's taps. Above, its taps would leave a tone on constants (-36 to -42 dB with the
    default transition), which the division removes; an odd scale gets one tap less, so that the filter stays centred;
    scale 1 is the identity. The border differs: there the map ends, here it continues with its border values.

    Args:
        taps_per_phase: Even number of taps per output phase.
        cutoff: Frequency of half gain, in cycles per low-resolution pixel.
        half_width: Half of the transition band in the same unit; by default the stop band starts 2^0.3 above the
            Nyquist frequency, as in StyleGAN3's last layers.
    """

    label = "Kaiser sinc"
    source = "Karras 2021, arXiv:2106.12423"
    linear = True
    convex = False
    layouts = ("conv",)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        scale: int = 2,
        spatial_dims: int = 2,
        taps_per_phase: int = 6,
        cutoff: float = 0.5,
        half_width: float = 0.5 * (2**0.3 - 1),
    ) -> None:
        super().__init__(in_channels, out_channels, scale=scale, spatial_dims=spatial_dims)
        if checks.integer("kaiser_sinc: taps_per_phase", taps_per_phase, minimum=2) % 2:
            raise checks.mismatch("kaiser_sinc: taps_per_phase", "an even integer", taps_per_phase, "use 6")
        if not 0 < cutoff <= 0.5 or not 0 < half_width <= 0.5:
            got = (cutoff, half_width)
            raise checks.mismatch("kaiser_sinc: cutoff and half_width", "frequencies above 0 and up to 0.5", got)
        taps = filters.kaiser_sinc(scale, taps_per_phase * scale - scale % 2, cutoff, half_width)
        self.taps = filters.Constant(filters.with_equal_phases(taps, scale))
