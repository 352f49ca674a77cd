"""The table's first column: learnable parameters."""

from __future__ import annotations

import torch
from torch import nn

from checkerscope.experiments.verdicts.contract import Verdict, exact, judge

LABEL = "Learnable parameters of the three methods"
SOURCE = "founding article, section 1.3"
KIND = "article"
STATEMENT = "Bilinear interpolation and unpooling have no learnable parameters, transposed convolution has."


def check(budget: str) -> Verdict:
    """Count the parameters of torch's three modules."""
    modules = {
        "bilinear": nn.Upsample(scale_factor=2, mode="bilinear"),
        "unpooling": nn.MaxUnpool2d(2),
        "transposed_conv": nn.utils.skip_init(nn.ConvTranspose2d, 64, 64, 3, 2, 1, 1, dtype=torch.float64),
    }
    counts = {name: sum(p.numel() for p in module.parameters()) for name, module in modules.items()}
    return Verdict(
        judge(counts["bilinear"] == 0, counts["unpooling"] == 0, counts["transposed_conv"] > 0),
        {f"{name}_parameters": exact(count) for name, count in counts.items()},
        "64 to 64 channels, 3 x 3 kernel: C_in C_out k^2 weights and C_out biases.",
        key="transposed_conv_parameters",
    )
