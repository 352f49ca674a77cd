"""Nearest-neighbour enlargement: every value is repeated s times along every axis."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from checkerscope.toolkit.contracts.upsampler import Context, FixedUpsampler


class Nearest(FixedUpsampler):
    """y[j] = x[floor(j / s)]; the filter is a box of s ones, with a zero at every alias frequency."""

    label = "Nearest"
    source = "textbook (zero-order hold)"
    linear = True
    convex = True
    layouts = ("conv",)

    def enlarge(self, x: Tensor, context: Context | None) -> Tensor:
        return F.interpolate(x, scale_factor=self.scale, mode="nearest")
