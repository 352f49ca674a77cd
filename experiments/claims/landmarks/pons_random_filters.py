"""Random filters: a tone at the stride even with full or without overlap."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from checkerscope.analysis.measures.tone import tone_fraction
from checkerscope.experiments.verdicts.contract import Number, Verdict, exact, judge, over, pick

LABEL = "Random filters sing whatever the overlap"
SOURCE = "Pons 2021, arXiv:2010.14356, section 2"
KIND = "landmark"
THEIR_SETTING = "Spectrograms of single audio layers with random filters."
OUR_SETTING = "16 to 16 channels, four pairs of length and stride, constant input; share of tone over draws."
STATEMENT = (
    "After random initialization transposed convolutions have a tone at the stride even with full overlap or without"
    " any."
)


def check(budget: str) -> Verdict:
    """Feed ones to random filters: no, partial and full overlap; 16 channels to 16, torch's default initialization."""
    numbers: dict[str, Number] = {}
    parts = []
    for k, s in ((3, 3), (8, 6), (8, 4), (16, 8)):
        found = []
        for seed in range(pick(budget, smoke=8, full=60)):
            g = torch.Generator().manual_seed(seed)
            h = torch.randn(16, 16, k, generator=g, dtype=torch.float64)
            x = torch.randn(1, 16, 1, generator=g, dtype=torch.float64).expand(-1, -1, 20)
            y = F.conv_transpose1d(x, h, stride=s)
            found.append(tone_fraction(y[..., 4 * s : 12 * s], s))
        numbers[f"tone_fraction_k{k}s{s}"] = over(found)
        numbers[f"theory_s{s}"] = exact(1 - 1 / s)
        parts.append(numbers[f"tone_fraction_k{k}s{s}"].value > 0.5)
    return Verdict(
        judge(*parts),
        numbers,
        "The input is constant in time, random over the channels. In one dimension theory gives 1 - 1/s, whatever the"
        " overlap; it holds if more than half of the power is tone.",
    )
