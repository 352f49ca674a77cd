"""What max-unpooling restores, and what it does not."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from checkerscope.experiments.verdicts.contract import Verdict, judge, over, pick

LABEL = "Unpooling restores positions"
SOURCE = "founding article, section 1.2"
KIND = "article"
STATEMENT = "Unpooling puts activations back where they were, for tasks that need exact positions."


def check(budget: str) -> Verdict:
    """Pool and unpool random maps; compare what stands where."""
    right, zeros, power = [], [], []
    for seed in range(pick(budget, smoke=5, full=50)):
        x = torch.randn(1, 8, 16, 16, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        pooled, indices = F.max_pool2d(x, 2, return_indices=True)
        y = F.max_unpool2d(pooled, indices, (2, 2))
        kept = y != 0
        right.append((y[kept] == x[kept]).double().mean().item())
        zeros.append((~kept).double().mean().item())
        power.append(((x - y).square().sum() / x.square().sum()).item())
    return Verdict(
        judge(min(right) == 1, max(zeros) == 0),
        {
            "maxima_put_back_exactly": over(right, "share"),
            "outputs_left_at_zero": over(zeros, "share"),
            "power_lost": over(power, "share of power"),
        },
        "The maximum of each 2 x 2 cell returns to its place, exactly. The other three quarters of the map are zero.",
        "Unpooling restores the position of the maximum of each cell and nothing else: 1 - 1/s^2 of the map are zeros,"
        " which later layers have to fill.",
        key="outputs_left_at_zero",
    )
