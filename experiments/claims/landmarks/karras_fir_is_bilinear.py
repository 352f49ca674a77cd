"""StyleGAN2's filter [1, 3, 3, 1] and bilinear interpolation."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from checkerscope.experiments.verdicts.contract import Verdict, exact, judge
from checkerscope.toolkit import filters

LABEL = "The [1, 3, 3, 1] filter is bilinear"
SOURCE = "Karras 2020, arXiv:1912.04958 (the filter)"
KIND = "landmark"
THEIR_SETTING = "The resampling filter of a generator."
OUR_SETTING = "The filter alone, against interpolation, on random maps."
STATEMENT = "Zero insertion followed by StyleGAN2's filter [1, 3, 3, 1] is bilinear interpolation."


def check(budget: str) -> Verdict:
    """Compare both on random maps, inside and at the border."""
    x = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64) / 4
    filtered = filters.enlarge(x, taps, 2, border="zeros")
    off = (filtered - F.interpolate(x, scale_factor=2, mode="bilinear")).abs()
    inside, border = float(off[..., 1:-1, 1:-1].max()), float(off.max())
    return Verdict(
        judge(inside < 1e-9, border < 1e-9),
        {"difference_inside": exact(inside), "difference_at_the_border": exact(border)},
        "Inside the map they are the same to rounding; only the outermost rows and columns differ, where one assumes"
        " zeros and the other repeats the edge.",
        "Zero insertion with [1, 3, 3, 1] / 4 is bilinear interpolation of a map that is surrounded by zeros.",
        key="difference_at_the_border",
    )
