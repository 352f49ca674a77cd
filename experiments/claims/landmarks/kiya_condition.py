"""The condition for no checkerboard, and the step response that it is about."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from checkerscope.experiments.verdicts.contract import Verdict, exact, judge, pick
from checkerscope.toolkit import filters
from checkerscope.toolkit.contracts.upsampler import exact_padding

LABEL = "Equal steady states, no checkerboard"
SOURCE = "Sugawara 2018, arXiv:1806.02658"
KIND = "landmark"
THEIR_SETTING = "Linear systems theory, and networks for super-resolution."
OUR_SETTING = "Random kernels alone, strides 2 to 5, one dimension, step and constant input."
STATEMENT = (
    "An upsampler leaves no checkerboard on a constant region if and only if the step responses of its polyphase"
    " filters settle at the same value; a kernel with the zero-order hold as a factor has this property."
)


def check(budget: str) -> Verdict:
    """Feed unit steps to random kernels, before and after the hold, for strides 2 to 5 and kernels to 3 s."""
    worst_gain, worst_hold, least_free, cases = 0.0, 0.0, float("inf"), 0
    for seed in range(pick(budget, smoke=3, full=20)):
        g = torch.Generator().manual_seed(seed)
        for s in (2, 3, 4, 5):
            for k in range(s, 3 * s + 1):
                h = torch.randn(k, generator=g, dtype=torch.float64)
                held = filters.convolve(h, filters.box(s))
                settled = _steady(h, s)
                # what a step settles at is what a constant input leads to, phase by phase
                worst_gain = max(worst_gain, float((settled - _constant(h, s)).abs().max()))
                worst_hold = max(worst_hold, _spread(_steady(held, s)))
                least_free = min(least_free, _spread(settled))
                cases += 1
    return Verdict(
        judge(worst_gain < 1e-9, least_free > 1e-9, worst_hold < 1e-9),
        {
            "step_response_against_constant_input": exact(worst_gain, n=cases),
            "smallest_spread_of_random_kernels": exact(least_free, n=cases),
            "largest_spread_with_hold": exact(worst_hold, n=cases),
        },
        "The steady state of phase p is the phase gain, the sum of every s-th tap. No random kernel has equal ones;"
        " with the hold as a factor every one has. The condition is about constants: it says nothing of replicas, nor"
        " of the unequal noise gain that ReLU turns into a tone.",
        key="largest_spread_with_hold",
    )


def _run(x: Tensor, h: Tensor, s: int) -> Tensor:
    padding, extra = exact_padding(len(h), s)
    return F.conv_transpose1d(x[None, None], h[None, None], None, s, padding, extra)[0, 0]


def _steady(h: Tensor, s: int) -> Tensor:
    """Return what the s phases of a unit step at cell 20 of 60 have settled at by cell 40, (s,)."""
    step = torch.cat([torch.zeros(20), torch.ones(40)]).double()
    return _run(step, h, s)[40 * s : 41 * s]


def _constant(h: Tensor, s: int) -> Tensor:
    return _run(torch.ones(60, dtype=torch.float64), h, s)[40 * s : 41 * s]


def _spread(values: Tensor) -> float:
    return float(values.max() - values.min())
