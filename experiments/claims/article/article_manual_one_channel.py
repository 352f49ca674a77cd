"""The manual transposed convolution, one channel to one."""

from __future__ import annotations

from checkerscope.experiments.claims.article._manual import compare, verdict
from checkerscope.experiments.verdicts.contract import Verdict

LABEL = "Manual version, 1 to 1 channels"
SOURCE = "founding article, section 2.2"
KIND = "article"
STATEMENT = (
    "The manual transposed convolution equals torch's for one input and one output channel, kernel 3 x 3, stride 2."
)


def check(budget: str) -> Verdict:
    """Compare both on random numbers."""
    return verdict(compare((1, 1, 3, 3)), "With a single channel there is nothing to swap.", "")
