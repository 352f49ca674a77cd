"""Kaiming with mode='fan_out' on a transposed convolution."""

from __future__ import annotations

import torch
from torch import nn

from checkerscope.experiments.verdicts.contract import Verdict, exact, judge, over, pick, seeded
from checkerscope.toolkit.contracts.initializer import initialize
from checkerscope.toolkit.upsamplers.transposed_conv import TransposedConv

LABEL = "Kaiming with fan_out"
SOURCE = "founding article, section 4.2"
KIND = "article"
STATEMENT = (
    "kaiming_normal_ with mode='fan_out' is the right start of a transposed convolution: it keeps the variance of"
    " ReLU layers."
)


def check(budget: str) -> Verdict:
    """Measure the output variance for unit input; Kaiming's rule asks for 2."""
    by_torch, by_true_fan = [], []
    for seed in range(pick(budget, smoke=5, full=20)):
        with seeded(seed), torch.no_grad():
            layer = nn.ConvTranspose2d(64, 16, 4, 2, 1, bias=False)
            ours = TransposedConv(64, 16, kernel_size=4, bias=False)
            x = torch.randn(2, 64, 16, 16)
            nn.init.kaiming_normal_(layer.weight, mode="fan_out")
            initialize(ours, "kaiming_normal", generator=torch.Generator().manual_seed(seed))
            by_torch.append(layer(x)[..., 2:-2, 2:-2].var().item())
            by_true_fan.append(ours(x)[..., 2:-2, 2:-2].var().item())
    found, true = over(by_torch), over(by_true_fan)
    return Verdict(
        judge(found.low is not None and found.high is not None and found.low < 2 < found.high),
        {"variance_fan_out": found, "variance_true_fan_in": true, "variance_wanted": exact(2)},
        "64 to 16 channels, k = 4, s = 2. torch's fan_out of this layout counts all C_in k^2 taps, but only C_in k^2 /"
        " s^2 of them reach any one output: the variance is s^2 times too small.",
        "Draw from N(0, 2 / fan_in) with fan_in = C_in k^2 / s^2 (initializer `kaiming_normal`).",
    )
