"""The table's second column, as arithmetic and as memory that training has to keep."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from checkerscope.experiments.claims.article._cost import saved_bytes
from checkerscope.experiments.verdicts.contract import Verdict, exact, judge, seeded

LABEL = "Cost of the three methods"
SOURCE = "founding article, section 1.3"
KIND = "article"
STATEMENT = (
    "Computational efficiency is high for bilinear interpolation, medium for unpooling, low for transposed convolution."
)

#: Multiplications per output value that torch's counter does not see: four weighted neighbours.
BILINEAR = 4


def check(budget: str) -> Verdict:
    """Count multiply-accumulates and the bytes kept for the backward pass, 64 channels, 32 x 32 to 64 x 64."""
    with seeded(0):
        transposed = nn.ConvTranspose2d(64, 64, 3, 2, 1, 1, bias=False)
        x = torch.randn(1, 64, 32, 32)
        _, indices = F.max_pool2d(torch.randn(1, 64, 64, 64), 2, return_indices=True)
    counter = FlopCounterMode(display=False)
    with counter:
        values = transposed(x).numel()
    macs = {"bilinear": BILINEAR, "unpooling": 0, "transposed_conv": counter.get_total_flops() / 2 / values}
    layers: dict[str, Callable[[Tensor], Tensor]] = {
        "bilinear": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
        "unpooling": lambda x: F.max_unpool2d(x, indices, (2, 2)),
        "transposed_conv": transposed,
    }
    kept = {name: saved_bytes(layer, x) for name, layer in layers.items()}
    return Verdict(
        judge(macs["transposed_conv"] > max(macs["bilinear"], macs["unpooling"]), macs["unpooling"] > macs["bilinear"]),
        {f"{name}_macs_per_output_value": exact(count) for name, count in macs.items()}
        | {f"{name}_bytes_kept": exact(count, "bytes") for name, count in kept.items()},
        "A transposed convolution is by far the dearest, as the table says. Unpooling computes nothing at all, less"
        " than bilinear interpolation: its price is memory, eight bytes of index for every pooled value and the"
        " input.",
        "In arithmetic: unpooling nothing, bilinear four multiplications per output value, transposed convolution"
        " C_in k^2 / s^2. In memory for training: bilinear nothing, transposed convolution its input and weights,"
        " unpooling its indices.",
        key="transposed_conv_macs_per_output_value",
    )
