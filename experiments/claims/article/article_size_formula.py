"""The formula for the output size, against what torch returns."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from checkerscope.experiments.verdicts.contract import Verdict, judge, pick, share
from checkerscope.toolkit.geometry import Axis

LABEL = "Output-size formula"
SOURCE = "founding article, section 3.1"
KIND = "article"
STATEMENT = "H_out = (H_in - 1) stride - 2 padding + dilation (kernel_size - 1) + output_padding + 1."


def check(budget: str) -> Verdict:
    """Draw random configurations and compare the formula with the length that torch returns."""
    rng = np.random.default_rng(0)
    hits = cases = 0
    while cases < pick(budget, smoke=500, full=10_000):
        k, s, d, n, p = (int(rng.integers(low, high)) for low, high in ((1, 9), (1, 6), (1, 5), (1, 20), (0, 8)))
        op = int(rng.integers(0, max(s, d)))
        if (n - 1) * s - 2 * p + d * (k - 1) + op + 1 < 1:
            continue  # torch refuses an empty output
        got = F.conv_transpose1d(torch.zeros(1, 1, n), torch.zeros(1, 1, k), None, s, p, op, 1, d).shape[2]
        hits += got == Axis(k, s, p, op, d).output_size(n)
        cases += 1
    return Verdict(
        judge(hits == cases),
        {"agreement": share(hits, cases)},
        "k to 8, stride to 5, dilation to 4, padding to 7, every allowed output_padding, lengths to 19.",
    )
