"""The bilinear listing and its printed shape."""

from __future__ import annotations

from checkerscope.experiments.claims.article._listings import run
from checkerscope.experiments.verdicts.contract import Verdict, exact, judge

LABEL = "Bilinear 2x: 16 to 32"
SOURCE = "founding article, section 1.1"
KIND = "article"
STATEMENT = "Bilinear interpolation with scale_factor=2 turns (1, 3, 16, 16) into (1, 3, 32, 32)."


def check(budget: str) -> Verdict:
    """Run the listing."""
    got = tuple(run("1.1")["output"].shape)
    return Verdict(
        judge(got == (1, 3, 32, 32)),
        {"channels": exact(got[1]), "height": exact(got[2], "pixels"), "width": exact(got[3], "pixels")},
        "The listing gives the printed shape once torch is imported.",
        key="height",
    )
