"""Example 3 of the article's three layers."""

from __future__ import annotations

import torch

from checkerscope.experiments.claims.article._listings import run
from checkerscope.experiments.verdicts.contract import Verdict, exact, judge

LABEL = "Example 3: dilated"
SOURCE = "founding article, section 3.2"
KIND = "article"
STATEMENT = "Example 3, `trans_conv_dilated`, keeps the size: 20 x 20 becomes 20 x 20."


def check(budget: str) -> Verdict:
    """Run the layer."""
    layer = run("3.2")["trans_conv_dilated"]
    with torch.no_grad():
        got = layer(torch.zeros(1, 64, 20, 20)).shape
    return Verdict(
        judge(tuple(got) == (1, 64, 20, 20)),
        {"height": exact(got[2], "pixels"), "width": exact(got[3], "pixels")},
        "k=3, s=1, p=2, d=2: (20 - 1) - 4 + 4 + 1 = 20. It does not upsample either.",
    )
