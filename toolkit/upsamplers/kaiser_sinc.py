"""Low-pass interpolation as in StyleGAN3: a Kaiser-windowed sinc."""

from __future__ import annotations

from toolkit import checks, filters
from toolkit.filtered import FilterUpsampler


class KaiserSinc(FilterUpsampler):
    """Kaiser-windowed sinc of about `taps_per_phase` s taps along every axis, with gain s.

    As in StyleGAN3 the phases are not divided by their gains: exact at scale 2, a tone of about -65 dB above it. An
    odd scale gets one tap less (StyleGAN3 has even scales only), so that the filter stays centred; scale 1 is the
    identity. The border differs: StyleGAN3 lets the map end, here it continues with its border values.

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
        self.taps = filters.Constant(taps)
