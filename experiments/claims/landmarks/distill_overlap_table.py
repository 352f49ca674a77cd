"""Distill's overlap: one layer, one and two dimensions, several layers."""

from __future__ import annotations

from checkerscope.experiments.verdicts.contract import Verdict, exact, judge
from checkerscope.toolkit.geometry import Axis
from checkerscope.toolkit.geometry.overlap import phase_counts, ratio, spread

LABEL = "Uneven overlap, squared in 2-D"
SOURCE = "Odena 2016, doi:10.23915/distill.00003"
KIND = "landmark"
THEIR_SETTING = "An interactive drawing of one layer, and of several in one dimension."
OUR_SETTING = "The same counts for all kernels from the stride to 12, strides to 4, one and two dimensions."
STATEMENT = (
    "Overlap is uneven when the kernel size is not divisible by the stride; in two dimensions the unevenness is"
    " squared, from 2 to 4 at kernel 3 and stride 2; stacked layers compound it."
)

STACKS = {
    "k3s2": [(3, 2)],
    "k4s2": [(4, 2)],
    "k5s2": [(5, 2)],
    "k3s2_twice": [(3, 2)] * 2,
    "k3s2_thrice": [(3, 2)] * 3,
}


def check(budget: str) -> Verdict:
    """Count paths, largest over smallest, in one and two dimensions."""
    lines = {name: phase_counts([Axis(k, s) for k, s in layers]) for name, layers in STACKS.items()}
    one = {name: ratio(line) for name, line in lines.items()}
    two = {name: ratio(spread(line)) for name, line in lines.items()}
    uneven = all((ratio(phase_counts([Axis(k, s)])) > 1) == (k % s > 0) for s in range(1, 5) for k in range(s, 13))
    return Verdict(
        judge(
            uneven,
            one["k3s2"] == 2 and two["k3s2"] == 4,
            two["k3s2_twice"] > two["k3s2"] and two["k3s2_thrice"] > two["k3s2_twice"],
        ),
        {f"{name}_1d": exact(value, "largest over smallest") for name, value in one.items()}
        | {f"{name}_2d": exact(value, "largest over smallest") for name, value in two.items()},
        "Counted exactly, for all kernels from the stride to 12 and strides to 4. The counts are those of a kernel of"
        " ones; what independent weights do is another matter (h1_tone_at_start).",
        key="k3s2_2d",
    )
