"""Example 1 of the article's three layers."""

from __future__ import annotations

import torch

from checkerscope.experiments.claims.article._listings import run
from checkerscope.experiments.verdicts.contract import Verdict, exact, judge

LABEL = "Example 1: doubling"
SOURCE = "founding article, section 3.2"
KIND = "article"
STATEMENT = "Example 1, `trans_conv_2x`, doubles the size: 20 x 20 becomes 40 x 40."


def check(budget: str) -> Verdict:
    """Run the layer."""
    layer = run("3.2")["trans_conv_2x"]
    with torch.no_grad():
        got = layer(torch.zeros(1, 64, 20, 20)).shape
    return Verdict(
        judge(tuple(got) == (1, 64, 40, 40)),
        {"height": exact(got[2], "pixels"), "width": exact(got[3], "pixels")},
        "k=4, s=2, p=1: (20 - 1) 2 - 2 + 3 + 1 = 40, with even overlap.",
    )
