"""The rule for integer factors, odd kernels."""

from __future__ import annotations

from checkerscope.experiments.verdicts.contract import Verdict, judge, share
from checkerscope.toolkit.geometry import Axis

LABEL = "Integer factor, odd kernel"
SOURCE = "founding article, section 3.1"
KIND = "article"
STATEMENT = (
    "For an integer factor set stride = factor, padding = (kernel_size - 1) / 2, output_padding = stride - 1; kernel"
    " odd."
)


def check(budget: str) -> Verdict:
    """Go through factors 1 to 8, odd kernels to 15 and lengths to 64."""
    cases = [(k, s, n) for s in range(1, 9) for k in range(1, 16, 2) for n in range(k // 2 + 1, 65)]
    hits = sum(Axis(k, s, (k - 1) // 2, s - 1).output_size(n) == s * n for k, s, n in cases)
    return Verdict(
        judge(hits == len(cases)),
        {"enlarged_exactly": share(hits, len(cases))},
        "The sum is (n - 1) s - (k - 1) + (k - 1) + (s - 1) + 1 = s n for every odd k. The price is a border on one"
        " side and, for s > 1, uneven overlap unless s divides k.",
    )
