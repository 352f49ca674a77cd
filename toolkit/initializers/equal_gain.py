"""Equal gain: any initialization, projected onto the kernels whose phases all have the same gain."""

from __future__ import annotations

from math import gcd

import torch
from torch import Tensor

from checkerscope.toolkit import checks
from checkerscope.toolkit.contracts.upsampler import Layout
from checkerscope.toolkit.filters.equal_gain_projection import project_sub_pixel, project_transposed
from checkerscope.toolkit.initializers._base import fill_base

LABEL = "Equal gain"
SOURCE = "this study; condition of Sugawara 2018, arXiv:1806.02658"
LAYOUTS = ("transposed", "sub_pixel")


def fill(
    kernel: Tensor,
    layout: Layout,
    *,
    scale: int,
    generator: torch.Generator,
    base: str = "kaiming_normal",
    order: int = 0,
) -> None:
    """Fill by the initialization `base`, then take the nearest kernel with equal phase gains.

    The layer starts without tone, like ICNR, but its phases differ in all other respects. The projection takes
    (s^d - 1) / (number of taps) of a random kernel's energy at order 0.

    Raises:
        ValueError: If `base` is unknown or does not fit the layout, the kernel is too small for the order, or the
            dilation leaves phases out.
    """
    for s in layout.strides:
        if gcd(layout.dilation, s) > 1:
            raise checks.mismatch("dilation", f"no common factor with the stride {s}", layout.dilation)
    fill_base(base, kernel, layout, scale=scale, generator=generator)
    project = project_transposed if layout.kind == "transposed" else project_sub_pixel
    kernel.copy_(project(kernel, layout.strides, order))
