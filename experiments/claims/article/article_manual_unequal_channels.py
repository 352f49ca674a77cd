"""The manual transposed convolution, three channels to five."""

from __future__ import annotations

from checkerscope.experiments.claims.article._manual import compare, verdict
from checkerscope.experiments.verdicts.contract import Verdict

LABEL = "Manual version, 3 to 5 channels"
SOURCE = "founding article, section 2.2"
KIND = "article"
STATEMENT = "The manual transposed convolution equals torch's for three input and five output channels."


def check(budget: str) -> Verdict:
    """Compare both on random numbers."""
    return verdict(
        compare((3, 5, 3, 3)),
        "The channels are not swapped, so conv2d asks for an input of five channels.",
        "Swap the first two axes of the weight before the convolution: weight.transpose(0, 1).flip(2, 3).",
    )
