"""The basic transposed convolution and its printed shape."""

from __future__ import annotations

from checkerscope.experiments.claims.article._listings import run
from checkerscope.experiments.verdicts.contract import Verdict, exact, judge

LABEL = "Basic example: 16 to 32"
SOURCE = "founding article, section 1.3"
KIND = "article"
STATEMENT = "ConvTranspose2d with k=3, s=2, p=1, output_padding=1 turns (1, 3, 16, 16) into (1, 3, 32, 32)."


def check(budget: str) -> Verdict:
    """Run the listing."""
    got = tuple(run("1.3")["output"].shape)
    return Verdict(
        judge(got == (1, 3, 32, 32)),
        {"channels": exact(got[1]), "height": exact(got[2], "pixels"), "width": exact(got[3], "pixels")},
        "(16 - 1) 2 - 2 + 2 + 1 + 1 = 32.",
        key="height",
    )
