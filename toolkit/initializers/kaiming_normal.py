"""He's rule with a normal draw, from the number of weights that really reach an output value."""

from __future__ import annotations

import torch
from torch import Tensor

from checkerscope.toolkit.contracts.upsampler import Layout

LABEL = "He normal"
SOURCE = "He 2015, arXiv:1502.01852, equation 10 (fan-in of the layout, not torch's)"
LAYOUTS = ("conv", "transposed", "sub_pixel")


def fill(kernel: Tensor, layout: Layout, *, scale: int, generator: torch.Generator, gain: float = 2**0.5) -> None:
    """Draw N(0, gain^2 / fan_in), fan_in the mean number of weights per output value.

    For a transposed convolution that is C_in k^d / (g s^d); torch's `fan_in` counts C_out, its `fan_out` all C_in k^d
    taps, which makes the output s^d times too weak.
    """
    kernel.normal_(0.0, gain * layout.fan_in(kernel) ** -0.5, generator=generator)
