"""H1: the tone of a random layer does not depend on the kernel size."""

from __future__ import annotations

from typing import Any

import torch

from checkerscope.experiments.verdicts.contract import Number, Verdict, exact, judge, over, pick, seeded
from checkerscope.toolkit import catalog
from checkerscope.toolkit.contracts.initializer import initialize
from checkerscope.toolkit.response import phase_gains, tone_fraction

LABEL = "H1: tone at the start is 1 - 1/s^2"
SOURCE = "this study, hypothesis 1"
KIND = "hypothesis"
STATEMENT = (
    "For independent zero-mean weights and a constant input, the share of a layer's output that is a grid is 1 - 1/s^2,"
    " whatever the kernel size, divisible by the stride or not."
)
#: The two digits that the estimate of a share over a few hundred channel pairs allows.
CLOSE = 0.02


def check(budget: str) -> Verdict:
    """Draw transposed and sub-pixel layers of strides 2 to 4 and kernels from s to 2 s + 1; 8 to 8 channels."""
    numbers: dict[str, Number] = {}
    off = []
    for s in (2, 3, 4):
        theory = 1 - 1 / s**2
        numbers[f"theory_s{s}"] = exact(theory)
        for k in sorted({s, s + 1, 2 * s, 2 * s + 1}):
            numbers[f"transposed_s{s}_k{k}"] = _mean("transposed_conv", s, budget, {"kernel_size": k})
            off.append(_outside(numbers[f"transposed_s{s}_k{k}"], theory))
        numbers[f"sub_pixel_s{s}_k3"] = _mean("pixel_shuffle", s, budget, {"kernel_size": 3})
        off.append(_outside(numbers[f"sub_pixel_s{s}_k3"], theory))
    numbers["largest_distance_from_the_interval"] = exact(max(off), n=len(off))
    return Verdict(
        judge(max(off) < CLOSE),
        numbers,
        f"It holds if theory lies in the interval of every mean over seeds, or within {CLOSE} of it. He"
        " initialization; the channels' responses are independent, so the share is taken over all channel pairs.",
        "The share depends on more than the stride; see the numbers.",
        key="transposed_s2_k3",
    )


def _outside(number: Number, theory: float) -> float:
    """Return how far theory lies outside a number's interval."""
    low, high = (number.value if bound is None else bound for bound in (number.low, number.high))
    return max(0.0, low - theory, theory - high)


def _mean(name: str, scale: int, budget: str, options: dict[str, Any]) -> Number:
    found = []
    for seed in range(pick(budget, smoke=3, full=25)):
        with seeded(seed):
            layer = catalog.load("checkerscope.toolkit.upsamplers", name)(8, 8, scale=scale, **options)
        initialize(layer, "kaiming_normal", generator=torch.Generator().manual_seed(seed))
        found.append(tone_fraction(phase_gains(layer)))
    return over(found)
