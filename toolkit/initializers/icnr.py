"""ICNR: every phase of a sub-pixel convolution starts with the same kernel, so it starts as conv + nearest."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from toolkit.upsampler import Layout

LABEL = "ICNR"
SOURCE = "Aitken 2017, arXiv:1707.02937"
LAYOUTS = ("sub_pixel",)


def fill(kernel: Tensor, layout: Layout, *, scale: int, generator: torch.Generator) -> None:
    """Draw one He-normal kernel per output channel and repeat it over the phases.

    Channels c * s^d + p are the phases of output channel c, so copies are adjacent (`repeat_interleave`).
    """
    phases = prod(layout.strides)
    base = torch.empty_like(kernel[::phases])
    torch.nn.init.kaiming_normal_(base, generator=generator)
    kernel.copy_(base.repeat_interleave(phases, dim=0))
