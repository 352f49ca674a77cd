"""What does a last layer of stride 1 do to the overlap of the layers before it?"""

from __future__ import annotations

from checkerscope.experiments.verdicts.contract import Verdict, exact, judge
from checkerscope.toolkit.geometry import Axis
from checkerscope.toolkit.geometry.overlap import phase_counts, ratio, spread

LABEL = "A last layer of stride 1 dampens"
SOURCE = "Odena 2016, doi:10.23915/distill.00003"
KIND = "landmark"
THEIR_SETTING = "Generators of GANs, by eye."
OUR_SETTING = "Path counts of three layers in two dimensions."
STATEMENT = (
    "A transposed convolution of stride 1 as last layer removes artifacts whose period divides its size and dampens the"
    " others; some still leak through."
)
BEFORE = [Axis(3, 2), Axis(3, 2)]


def check(budget: str) -> Verdict:
    """Count paths in two dimensions, two layers of kernel 3 and stride 2 before a last one of 1 to 8 taps."""
    alone = ratio(spread(phase_counts(BEFORE)))
    last = {k: ratio(spread(phase_counts([*BEFORE, Axis(k, 1)]))) for k in range(2, 9)}
    removed = [k for k, value in last.items() if value == 1]
    return Verdict(
        judge(removed == [4, 8], max(last.values()) < alone, min(last[3], last[5]) > 1),
        {"without_last_layer": exact(alone, "largest over smallest")}
        | {f"last_k{k}": exact(value, "largest over smallest") for k, value in last.items()}
        | {
            "k4s2_then_k3s2": exact(ratio(spread(phase_counts([Axis(4, 2), Axis(3, 2)]))), "largest over smallest"),
            "k3s2_then_k4s2": exact(ratio(spread(phase_counts([Axis(3, 2), Axis(4, 2)]))), "largest over smallest"),
        },
        "Counts, that is flat kernels. The accumulated stride is 4, and kernels of 4 and 8 taps remove everything,"
        " the others dampen. The same holds for a last layer with a stride: k4s2 after k3s2 is even, k3s2 after k4s2"
        " is not.",
        key="last_k4",
    )
