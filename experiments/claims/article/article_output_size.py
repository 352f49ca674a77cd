"""Setting the size directly: where `output_size` goes and what it accepts."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from checkerscope.experiments.verdicts.contract import Verdict, exact, judge, seeded, share

LABEL = "output_size sets the size"
SOURCE = "founding article, section 3.1"
KIND = "article"
STATEMENT = "For fine control of the size, use the parameter output_size."


def check(budget: str) -> Verdict:
    """Pass it to the constructor and to the call, for every size near the natural one."""
    constructor: Any = nn.ConvTranspose2d
    try:
        constructor(1, 1, 3, stride=2, output_size=(8, 8))
        in_constructor = True
    except TypeError:
        in_constructor = False
    accepted = {(s, extra): _accepts(s, extra) for s in (1, 2, 3, 4) for extra in range(-2, 6)}
    within = {key: 0 <= key[1] < key[0] for key in accepted}
    return Verdict(
        judge(in_constructor, all(accepted[key] for key in accepted if within[key]), all(accepted.values())),
        {
            "accepted_by_the_constructor": exact(float(in_constructor)),
            "accepted_within_stride": share(sum(accepted[k] for k in accepted if within[k]), sum(within.values())),
            "accepted_outside": share(
                sum(accepted[k] for k in accepted if not within[k]), len(within) - sum(within.values())
            ),
        },
        "It is an argument of the call, not of the constructor (TypeError there), and reaches only the smallest size"
        " and the stride - 1 sizes above it; any other raises ValueError.",
        "Call layer(x, output_size=...) with a size from m to m + stride - 1, m the size without output_padding.",
        key="accepted_outside",
    )


def _accepts(stride: int, extra: int) -> bool:
    with seeded(0):
        layer = nn.ConvTranspose2d(1, 1, 3, stride, 1)
    smallest = 4 * stride + 1  # (5 - 1) s - 2 + 2 + 1
    try:
        return layer(torch.zeros(1, 1, 5, 5), output_size=(smallest + extra,) * 2).shape[2] == smallest + extra
    except ValueError:
        return False
