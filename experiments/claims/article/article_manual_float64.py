"""The manual transposed convolution in double precision."""

from __future__ import annotations

import torch

from checkerscope.experiments.claims.article._manual import compare, verdict
from checkerscope.experiments.verdicts.contract import Verdict

LABEL = "Manual version, float64"
SOURCE = "founding article, section 2.2"
KIND = "article"
STATEMENT = "The manual transposed convolution works on float64 tensors (and, by the same line, on a GPU)."


def check(budget: str) -> Verdict:
    """Compare both on random numbers."""
    return verdict(
        compare((1, 1, 3, 3), dtype=torch.float64),
        "torch.zeros makes a float32 tensor on the CPU whatever the input is.",
        "Make the zeros like the input: input.new_zeros(...).",
    )
