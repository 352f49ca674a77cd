"""Does the article's first transposed convolution follow the advice of its section 4.3?"""

from __future__ import annotations

from checkerscope.experiments.claims.article._listings import run
from checkerscope.experiments.verdicts.contract import Verdict, exact, judge
from checkerscope.toolkit.geometry import Axis

LABEL = "Basic example has even overlap"
SOURCE = "founding article, section 1.3"
KIND = "article"
STATEMENT = (
    "Kernel 3 with stride 2 is the configuration to start from; section 4.3 asks for kernels divisible by the stride."
)


def check(budget: str) -> Verdict:
    """Count the taps per output phase of the listing's layer, and of others at stride 2."""
    layer = run("1.3")["trans_conv"]
    ratio = Axis(layer.kernel_size[0], layer.stride[0]).overlap_ratio()
    others = {k: Axis(k, 2).overlap_ratio() for k in (2, 3, 4, 5, 7)}
    return Verdict(
        judge(ratio == 1),
        {"overlap_of_the_example": exact(ratio, "largest over smallest")}
        | {f"overlap_k{k}": exact(value, "largest over smallest") for k, value in others.items()},
        "3 is not divisible by 2: outputs get 4, 2, 2 or 1 taps, the most uneven overlap that any kernel of at least"
        " the stride can have. Section 3.3 uses kernels 3 and 7 in the same way.",
        "Start from k = 4, s = 2, p = 1: every output gets four taps, and no output padding is needed.",
    )
