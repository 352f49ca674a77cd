"""He's rule with a uniform draw, from the number of weights that really reach an output value."""

from __future__ import annotations

import torch
from torch import Tensor

from checkerscope.toolkit.contracts.upsampler import Layout

LABEL = "He uniform"
SOURCE = "He 2015, arXiv:1502.01852, equation 10 (fan-in of the layout, not torch's)"
LAYOUTS = ("conv", "transposed", "sub_pixel")


def fill(kernel: Tensor, layout: Layout, *, scale: int, generator: torch.Generator, gain: float = 2**0.5) -> None:
    """Draw U(-b, b) of variance gain^2 / fan_in, fan_in the mean number of weights per output value."""
    bound = gain * (3 / layout.fan_in(kernel)) ** 0.5
    kernel.uniform_(-bound, bound, generator=generator)
