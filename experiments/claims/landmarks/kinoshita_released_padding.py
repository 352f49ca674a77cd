"""The fixed smooth layer: is the condition kept for every stride and order, with full and with released padding?"""

from __future__ import annotations

from checkerscope.experiments.verdicts.contract import Number, Verdict, exact, judge
from checkerscope.toolkit import filters

LABEL = "Fixed smooth layer of any order"
SOURCE = "Kinoshita 2020, arXiv:2002.02117"
KIND = "landmark"
THEIR_SETTING = "Classifiers and generators with the layer; the theorem and the released code."
OUR_SETTING = "The layer's kernel alone, strides 2 to 8, orders 0 to 2, with full and with the released padding."
STATEMENT = (
    "The fixed smooth convolutional layer, the hold convolved d times with itself, prevents checkerboards for every"
    " stride."
)


def check(budget: str) -> Verdict:
    """Build h(d) by repeated convolution with full padding (k - 1), and with (k + 1) // 2 as in the released code."""
    numbers: dict[str, Number] = {}
    whole, cut = [], []
    for s in range(2, 9):
        for order in (0, 1, 2):
            whole.append(_spread(s, order, released=False))
            cut.append(_spread(s, order, released=True))
            if order == 1 and s in (4, 5, 8):
                numbers[f"released_s{s}_order1"] = exact(cut[-1], "largest over smallest")
    numbers["full_padding_worst"] = exact(max(whole), "largest over smallest", n=len(whole))
    numbers["released_padding_worst"] = exact(max(cut), "largest over smallest", n=len(cut))
    numbers["released_padding_uneven_cases"] = exact(sum(value > 1 + 1e-9 for value in cut), n=len(cut))
    return Verdict(
        judge(max(whole) < 1 + 1e-9, max(cut) < 1 + 1e-9),
        numbers,
        "As a theorem it holds for every stride and order. The released code pads (k + 1) // 2 instead of k - 1 zeros"
        " before it convolves, which cuts the kernel's ends off from stride 4 on, and with them the equal phase sums.",
        "Convolve with full padding: then every phase of the kernel has the same sum, for every stride and order.",
        key="released_padding_worst",
    )


def _spread(s: int, order: int, *, released: bool) -> float:
    """Return the largest over the smallest phase sum of the hold convolved `order` further times with itself."""
    kernel = filters.box(s)
    for _ in range(order):
        full = filters.convolve(kernel, filters.box(s))
        lost = s - 1 - (s + 1) // 2 if released else 0
        kernel = full[lost : len(full) - lost] if lost > 0 else full
    gains = filters.phase_gains(kernel, s)
    return float(gains.max() / gains.min())
