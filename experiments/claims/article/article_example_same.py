"""Example 2 of the article's three layers."""

from __future__ import annotations

import torch

from checkerscope.experiments.claims.article._listings import run
from checkerscope.experiments.verdicts.contract import Verdict, exact, judge

LABEL = "Example 2: same size"
SOURCE = "founding article, section 3.2"
KIND = "article"
STATEMENT = "Example 2, `trans_conv_same`, keeps the size: 20 x 20 becomes 20 x 20."


def check(budget: str) -> Verdict:
    """Run the layer."""
    layer = run("3.2")["trans_conv_same"]
    with torch.no_grad():
        got = layer(torch.zeros(1, 64, 20, 20)).shape
    return Verdict(
        judge(tuple(got) == (1, 64, 20, 20)),
        {"height": exact(got[2], "pixels"), "width": exact(got[3], "pixels")},
        "k=3, s=1, p=1: (20 - 1) - 2 + 2 + 1 = 20. At stride 1 it is an ordinary convolution with a rotated kernel"
        " and does not upsample.",
    )
