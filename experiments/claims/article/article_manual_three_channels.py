"""The manual transposed convolution, three channels to three."""

from __future__ import annotations

from checkerscope.experiments.claims.article._manual import compare, verdict
from checkerscope.experiments.verdicts.contract import Verdict

LABEL = "Manual version, 3 to 3 channels"
SOURCE = "founding article, section 2.2"
KIND = "article"
STATEMENT = "The manual transposed convolution equals torch's for three input and three output channels."


def check(budget: str) -> Verdict:
    """Compare both on random numbers."""
    return verdict(
        compare((3, 3, 3, 3)),
        "It runs and gives the right shape with wrong values, the worst kind of error: torch's transposed weight is"
        " (C_in, C_out, k, k), conv2d reads it as (C_out, C_in, k, k).",
        "Swap the first two axes of the weight before the convolution: weight.transpose(0, 1).flip(2, 3).",
    )
