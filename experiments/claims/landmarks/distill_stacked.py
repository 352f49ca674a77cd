"""Do stacked transposed convolutions cancel or compound their overlap?"""

from __future__ import annotations

from itertools import product

from checkerscope.experiments.verdicts.contract import Verdict, judge, share
from checkerscope.toolkit.geometry import Axis
from checkerscope.toolkit.geometry.overlap import phase_counts, ratio, spread

LABEL = "Stacked layers often compound"
SOURCE = "Odena 2016, doi:10.23915/distill.00003"
KIND = "landmark"
THEIR_SETTING = "Stated of stacks in general, with a drawing in one dimension."
OUR_SETTING = "Path counts of all pairs of kernels 2 to 9 at stride 2, two dimensions."
STATEMENT = "Stacked transposed convolutions can cancel artifacts out, but often they compound."


def check(budget: str) -> Verdict:
    """Count paths for all pairs of kernels 2 to 9 at stride 2 of which at least one is uneven alone."""
    pairs = [pair for pair in product(range(2, 10), repeat=2) if any(k % 2 for k in pair)]
    outcome = {pair: _ratio(*pair) for pair in pairs}
    worst = {pair: max(_ratio(k) for k in pair) for pair in pairs}
    cancelled = sum(value == 1 for value in outcome.values())
    compounded = sum(outcome[pair] > worst[pair] + 1e-9 for pair in pairs)
    return Verdict(
        judge(cancelled > 0, compounded > len(pairs) / 10),
        {
            "even_together": share(cancelled, len(pairs)),
            "worse_than_either_alone": share(compounded, len(pairs)),
        },
        "Counts, that is flat kernels. A pair cancels if the second kernel is divisible by the accumulated stride, 4;"
        " the order matters.",
        "Whether stacked layers cancel or compound is arithmetic: a last kernel divisible by the accumulated stride"
        " cancels.",
        key="worse_than_either_alone",
    )


def _ratio(*kernels: int) -> float:
    return ratio(spread(phase_counts([Axis(k, 2) for k in kernels])))
