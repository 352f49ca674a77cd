"""Deep Fourier up-sampling: amplitude and phase of the spectrum, each through 1x1 convolutions, then enlarged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from checkerscope.toolkit import checks
from checkerscope.toolkit.contracts.upsampler import Context, Kernel, Layout, Upsampler, convolution


class DeepFourierUp(Upsampler):
    """Two 1x1 convolutions with a leaky ReLU on the amplitude, two on the phase, enlargement, inverse, 1x1 convolution.

    The map is seen as periodic; every output value depends on every input value. The phase of a coefficient that is
    zero is arbitrary, so that the output of a map with few frequencies, such as a constant, depends on rounding.
    Unlike the authors' program this works on any device, keeps the real part of the inverse transform where theirs
    takes its absolute value, and multiplies by s^d, so that the mean is kept. Their third way of padding (area
    interpolation, then a crop and a nearest-neighbour resize) is left out.

    Args:
        padding: `periodic`: the spectrum is repeated s times per axis, which is zero insertion; `corner`: zeros are put
            between the frequencies, which is trigonometric interpolation.
    """

    label = "Deep Fourier up"
    source = "Zhou 2022, arXiv:2210.05171"
    linear = False
    convex = False
    layouts = ("conv",)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        scale: int = 2,
        spatial_dims: int = 2,
        padding: Literal["periodic", "corner"] = "periodic",
    ) -> None:
        super().__init__(in_channels, out_channels, scale=scale, spatial_dims=spatial_dims)
        self.padding = checks.choice("deep_fourier_up: padding", padding, ("periodic", "corner"))
        conv = convolution(spatial_dims)
        self.amplitude, self.phase = (
            nn.Sequential(conv(in_channels, in_channels, 1), nn.LeakyReLU(0.1), conv(in_channels, in_channels, 1))
            for _ in range(2)
        )
        self.post: nn.Conv1d | nn.Conv2d | nn.Conv3d = conv(in_channels, out_channels, 1)

    def upsample(self, x: Tensor, context: Context | None) -> Tensor:
        """Return the last convolution of the enlarged map."""
        axes = tuple(range(2, x.dim()))
        spectrum = torch.fft.fftn(x, dim=axes, norm="forward")
        # real coefficients come with +0 or -0 beside them, which would decide between the phases pi and -pi
        phase = torch.atan2(spectrum.imag + 0.0, spectrum.real)
        spectrum = torch.polar(torch.ones_like(phase), self.phase(phase)) * self.amplitude(spectrum.abs())
        enlarge = self._repeat if self.padding == "periodic" else self._insert_zeros
        for axis in axes:
            spectrum = enlarge(spectrum, axis)
        return self.post(torch.fft.ifftn(spectrum, dim=axes, norm="forward").real)

    def _repeat(self, spectrum: Tensor, axis: int) -> Tensor:
        return torch.cat([spectrum] * self.scale, axis)

    def _insert_zeros(self, spectrum: Tensor, axis: int) -> Tensor:
        side = spectrum.shape[axis]
        if self.scale == 1:
            return spectrum
        low, high = spectrum.split([(side + 1) // 2, side // 2], axis)
        shape = list(spectrum.shape)
        shape[axis] = side * (self.scale - 1)
        between = spectrum.new_zeros(shape)
        if side % 2:
            return torch.cat([low, between, high], axis)
        nyquist, rest = high.split([1, side // 2 - 1], axis)  # half for each sign of the frequency
        between = between.narrow(axis, 0, side * (self.scale - 1) - 1)
        return torch.cat([low, nyquist / 2, between, nyquist / 2, rest], axis)

    def kernels(self) -> Iterator[Kernel]:
        """Yield the five 1x1 convolutions."""
        for conv in (*self.amplitude, *self.phase, self.post):
            if not isinstance(conv, nn.LeakyReLU):
                yield Kernel(conv.weight, Layout("conv", (1,) * self.spatial_dims), conv.bias)
