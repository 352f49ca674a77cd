"""Fine-tuning the size with output_padding: its limit and its price."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from checkerscope.experiments.verdicts.contract import Verdict, exact, judge, share
from checkerscope.toolkit.geometry import Axis
from checkerscope.toolkit.geometry.overlap import line_counts

LABEL = "output_padding tunes the size"
SOURCE = "founding article, section 3.3"
KIND = "article"
STATEMENT = "If the size does not fit, adjust it with output_padding."


def check(budget: str) -> Verdict:
    """Try every output_padding to 6, and count the taps that reach the outputs that it adds."""
    cases = [(s, d, op) for s in range(1, 5) for d in range(1, 5) for op in range(7)]
    allowed = {case: case[2] < max(case[:2]) for case in cases}
    accepted = {case: _accepts(*case) for case in cases}
    last, before = (int(c) for c in line_counts([Axis(3, 2, 1, 1)], 8)[[-1, -3]])
    bare = [Axis(k, s, 0, op).bare_outputs for s in range(2, 5) for k in range(s, 8) for op in range(1, s)]
    return Verdict(
        judge(all(accepted[c] for c in cases if allowed[c]), not any(accepted[c] and not allowed[c] for c in cases),
              all(accepted.values())),
        {
            "accepted_below_the_limit": share(sum(accepted[c] for c in cases if allowed[c]), sum(allowed.values())),
            "accepted_from_the_limit": share(
                sum(accepted[c] for c in cases if not allowed[c]), len(cases) - sum(allowed.values())
            ),
            "taps_at_the_added_output": exact(last, "taps"),
            "taps_at_the_same_phase_inside": exact(before, "taps"),
            "added_outputs_without_any_tap_at_padding_0": share(sum(n > 0 for n in bare), len(bare)),
        },
        "It must be smaller than the larger of stride and dilation, or torch raises; and it adds outputs on one side"
        " only, which fewer taps reach than the same phase inside (none at all where there is no padding).",
        "output_padding chooses among at most max(stride, dilation) sizes and is paid for with a one-sided border; any"
        " other misfit needs another kernel or padding.",
        key="accepted_from_the_limit",
    )  # fmt: skip


def _accepts(stride: int, dilation: int, output_padding: int) -> bool:
    try:
        F.conv_transpose1d(torch.zeros(1, 1, 8), torch.zeros(1, 1, 3), None, stride, 1, output_padding, 1, dilation)
    except RuntimeError:
        return False
    return True
