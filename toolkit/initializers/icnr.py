"""ICNR: every phase of a sub-pixel convolution starts with the same kernel, so it starts as conv + nearest."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from checkerscope.toolkit.contracts.upsampler import Layout
from checkerscope.toolkit.initializers._base import fill_base

LABEL = "ICNR"
SOURCE = "Aitken 2017, arXiv:1707.02937"
LAYOUTS = ("sub_pixel",)


def fill(
    kernel: Tensor, layout: Layout, *, scale: int, generator: torch.Generator, base: str = "kaiming_normal"
) -> None:
    """Draw one kernel per output channel by the initialization `base` and repeat it over the phases.

    Channels c * s^d + p are the phases of output channel c, so copies are adjacent (`repeat_interleave`).

    Raises:
        ValueError: If `base` is unknown or does not fit a convolution.
    """
    phases = prod(layout.strides)
    small = torch.empty_like(kernel[::phases])
    plain = Layout("conv", (1,) * len(layout.strides), layout.groups, layout.dilation)
    fill_base(base, small, plain, scale=scale, generator=generator)
    kernel.copy_(small.repeat_interleave(phases, dim=0))
