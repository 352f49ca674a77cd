"""Ideal interpolation of the map's periodic continuation, by padding its spectrum with zeros."""

from __future__ import annotations

import torch
from torch import Tensor

from checkerscope.toolkit.contracts.upsampler import Context, FixedUpsampler


class FFT(FixedUpsampler):
    """Trigonometric interpolation: the spectrum of every axis, enlarged with zeros.

    Periodic: the border of one side reaches the other. An even side's Nyquist coefficient is split between both
    signs of the frequency, so that the output is real and passes through every input value, at phase 0 of each axis
    (not at the centre of its area, as the filters with a half-pixel convention do).
    """

    label = "FFT"
    source = "textbook (trigonometric interpolation)"
    linear = True
    convex = False
    layouts = ("conv",)

    def enlarge(self, x: Tensor, context: Context | None) -> Tensor:
        """Return the trigonometric interpolation."""
        for axis in range(2, x.dim()):
            x = self._enlarge_axis(x, axis)
        return x

    def _enlarge_axis(self, x: Tensor, axis: int) -> Tensor:
        side = x.shape[axis]
        spectrum = torch.fft.rfft(x, dim=axis, norm="forward")
        if side % 2 == 0 and self.scale > 1:
            last = spectrum.shape[axis] - 1
            below, nyquist = spectrum.split([last, 1], axis)
            spectrum = torch.cat([below, nyquist / 2], axis)
        return torch.fft.irfft(spectrum, side * self.scale, dim=axis, norm="forward")
