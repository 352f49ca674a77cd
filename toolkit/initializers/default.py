"""torch's own rule: uniform with bound 1/sqrt(fan), the fan being `weight.shape[1]` times the taps."""

from __future__ import annotations

import torch
from torch import Tensor

from checkerscope.toolkit.contracts.upsampler import Layout

LABEL = "default"
SOURCE = "torch.nn (He 2015, arXiv:1502.01852, with a = sqrt(5))"
LAYOUTS = ("conv", "transposed", "sub_pixel")
BIAS = "framework"


def fill(kernel: Tensor, layout: Layout, *, scale: int, generator: torch.Generator) -> None:
    """Draw U(-b, b), b = 1/sqrt(shape[1] * taps).

    For a transposed convolution shape[1] is C_out / g, so the variance is not that of the true fan-in. The bias is
    drawn from the same bounds, for a sub-pixel convolution one per phase: a grid of its own.
    """
    torch.nn.init.kaiming_uniform_(kernel, a=5**0.5, generator=generator)
