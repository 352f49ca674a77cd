"""How often does a transposed convolution of the same parameters restore the size?"""

from __future__ import annotations

from checkerscope.experiments.verdicts.contract import Verdict, judge, share
from checkerscope.toolkit.geometry import Axis, convolution_size

LABEL = "The shape is restored"
SOURCE = "founding article, section 2.1"
KIND = "article"
STATEMENT = "Although the values differ, the shape is restored."


def check(budget: str) -> Verdict:
    """Go through all sizes from 8 to 247 for k=3, p=1 and several strides, with every output padding."""
    sizes = range(8, 248)
    numbers, ones = {}, []
    for stride in (1, 2, 3):
        for extra in range(stride):
            back = Axis(3, stride, 1, extra)
            hits = sum(back.output_size(convolution_size(n, 3, stride=stride, padding=1)) == n for n in sizes)
            numbers[f"restored_s{stride}_op{extra}"] = share(hits, len(sizes))
            ones.append(hits == len(sizes))
    return Verdict(
        judge(*ones),
        numbers,
        "s sizes shrink to the same one, so no choice of output_padding restores more than one size in s; the article's"
        " own (s = 2, output_padding = 0) restores odd sizes and it was given an even one.",
        "For s > 1 the size is not unique: exactly one size in s comes back, and output_padding says which.",
        key="restored_s2_op0",
    )
