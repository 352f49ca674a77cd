"""The rule for integer factors, even kernels."""

from __future__ import annotations

import torch
from torch import nn

from checkerscope.experiments.verdicts.contract import Verdict, exact, judge, seeded, share
from checkerscope.toolkit.contracts.upsampler import exact_padding
from checkerscope.toolkit.geometry import Axis

LABEL = "Integer factor, even kernel"
SOURCE = "founding article, section 3.1"
KIND = "article"
STATEMENT = (
    "For an integer factor set stride = factor, padding = (kernel_size - 1) / 2, output_padding = stride - 1; kernel"
    " even."
)


def check(budget: str) -> Verdict:
    """Try the padding as it is and rounded down, and the rule that works for every kernel."""
    try:
        with seeded(0):
            nn.ConvTranspose2d(1, 1, 4, 2, (4 - 1) / 2, 1)(torch.zeros(1, 1, 10, 10))  # type: ignore[arg-type]
        refused = False
    except (TypeError, RuntimeError):
        refused = True
    cases = [(k, s, n) for s in range(2, 9) for k in range(2, 16, 2) for n in range(k, 65)]
    floored = [Axis(k, s, (k - 1) // 2, s - 1).output_size(n) - s * n for k, s, n in cases]
    mended = sum(Axis(k, s, *exact_padding(k, s)).output_size(n) == s * n for k, s, n in cases)
    return Verdict(
        judge(not refused, not any(floored)),
        {
            "half_padding_refused": exact(float(refused)),
            "pixels_too_many_if_rounded_down": exact(max(floored), "pixels", n=len(cases)),
            "enlarged_exactly_if_rounded_down": share(sum(excess == 0 for excess in floored), len(cases)),
            "enlarged_exactly_by_the_general_rule": share(mended, len(cases)),
        },
        "(k - 1) / 2 is no integer for even k: torch raises, and rounding down gives one pixel too many in every case."
        " The article's own examples (k = 4, padding = 1, no output_padding) follow another rule.",
        "Choose padding and output_padding with 2 padding - output_padding = dilation (k - 1) + 1 - s: for even k - s,"
        " padding = (k - s) / 2 and no output_padding.",
        key="pixels_too_many_if_rounded_down",
    )
