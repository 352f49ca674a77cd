"""ICNR for transposed convolution: s equal taps in a row on every axis, so that all phases start equal."""

from __future__ import annotations

from math import gcd

import torch
from torch import Tensor

from checkerscope.toolkit import checks
from checkerscope.toolkit.contracts.upsampler import Layout

LABEL = "ICNR (transposed)"
SOURCE = "after Aitken 2017, arXiv:1707.02937; Lasagne pull request 862"
LAYOUTS = ("transposed",)


def fill(kernel: Tensor, layout: Layout, *, scale: int, generator: torch.Generator) -> None:
    """Draw (k / s)^d taps per channel pair from N(0, 2 / fan_in) and repeat each s times along every axis.

    The layer starts as a convolution followed by nearest, up to a shift. A kernel whose size is no multiple of the
    stride would lose part of its last repetition and with it the equal phase gains, so it is refused.

    Raises:
        ValueError: If k % s != 0 on an axis, or if the dilation leaves phases out.
    """
    sizes = kernel.shape[2:]
    for k, s in zip(sizes, layout.strides, strict=True):
        if k % s:
            near = max(s, round(k / s) * s)
            raise checks.mismatch("kernel", f"a multiple of the stride {s}", k, f"use kernel_size={near}")
        if gcd(layout.dilation, s) > 1:
            raise checks.mismatch("dilation", f"no common factor with the stride {s}", layout.dilation)
    small = [k // s for k, s in zip(sizes, layout.strides, strict=True)]
    taps = kernel.new_empty(*kernel.shape[:2], *small)
    taps.normal_(0.0, (2 / layout.fan_in(kernel)) ** 0.5, generator=generator)
    for axis, s in enumerate(layout.strides, start=2):
        taps = taps.repeat_interleave(s, dim=axis)
    kernel.copy_(taps)
