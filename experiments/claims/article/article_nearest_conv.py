"""Nearest enlargement followed by a convolution: the article's listing."""

from __future__ import annotations

import torch

from checkerscope.experiments.claims.article._listings import run
from checkerscope.experiments.verdicts.contract import Verdict, exact, judge, over, pick, seeded
from checkerscope.toolkit.response import phase_gains, tone_fraction

LABEL = "Nearest + convolution as a remedy"
SOURCE = "founding article, section 4.3"
KIND = "article"
STATEMENT = (
    "When transposed convolution causes a checkerboard, enlarge by nearest neighbour and convolve (UpsampleConv)."
)


def check(budget: str) -> Verdict:
    """Measure the tone of the listing's module under random weights, and its border on a constant."""
    names = run("4.3")
    fractions, borders, shape = [], [], None
    for seed in range(pick(budget, smoke=5, full=30)):
        with seeded(seed), torch.no_grad():
            layer = names["UpsampleConv"](8, 8)
            shape = tuple(layer(torch.zeros(1, 8, 6, 6)).shape)
            y = layer(torch.ones(1, 8, 6, 6)) - layer.conv.bias[:, None, None]
        fractions.append(tone_fraction(phase_gains(layer, scale=2, in_channels=8)))
        inside = y[..., 4:8, 4:8].mean((2, 3), keepdim=True)
        borders.append(float((y - inside).square().mean().sqrt() / inside.square().mean().sqrt()))
    return Verdict(
        judge(shape == (1, 8, 12, 12), max(fractions) < 1e-9),
        {
            "tone_fraction": exact(max(fractions), n=len(fractions)),
            "border_error_on_a_constant": over(borders, "relative"),
        },
        "All four phases of the nearest enlargement are equal and the convolution treats them alike, so a flat region"
        " stays flat whatever the weights. The zero padding of the convolution does leave a border one pixel wide.",
    )
