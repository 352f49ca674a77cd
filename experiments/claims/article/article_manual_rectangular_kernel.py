"""The manual transposed convolution with a 3 x 5 kernel."""

from __future__ import annotations

from checkerscope.experiments.claims.article._manual import compare, verdict
from checkerscope.experiments.verdicts.contract import Verdict

LABEL = "Manual version, kernel 3 x 5"
SOURCE = "founding article, section 2.2"
KIND = "article"
STATEMENT = "The manual transposed convolution equals torch's for a 3 x 5 kernel."


def check(budget: str) -> Verdict:
    """Compare both on random numbers."""
    return verdict(
        compare((1, 1, 3, 5)),
        "The padding of both axes is taken from the kernel's height, so the width comes out too small.",
        "Pad each axis by its own kernel size: k_h - p - 1 rows and k_w - p - 1 columns.",
    )
