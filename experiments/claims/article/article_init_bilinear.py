"""Is a 2 x 2 kernel of 0.25 a bilinear initialization?"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from checkerscope.experiments.claims.article._listings import attempt
from checkerscope.experiments.verdicts.contract import Verdict, exact, judge, seeded
from checkerscope.toolkit.contracts.initializer import initialize
from checkerscope.toolkit.upsamplers.transposed_conv import TransposedConv

LABEL = "0.25 is bilinear"
SOURCE = "founding article, section 4.2"
KIND = "article"
STATEMENT = "Filling a 2 x 2 kernel with 0.25 initializes the transposed convolution as bilinear interpolation."


def check(budget: str) -> Verdict:
    """Compare the layer with bilinear interpolation and with nearest of the channels' sum."""
    fill = attempt("4.2")[0]["init_weights"]
    with seeded(0):
        layer = nn.ConvTranspose2d(3, 3, 2, 2)
        x = torch.randn(1, 3, 12, 12)
        fill(layer)
        true = TransposedConv(3, 3, kernel_size=4)
    initialize(true, "bilinear", generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        y, mended = layer(x), true(x)
    bilinear = F.interpolate(x, scale_factor=2, mode="bilinear")
    summed = 0.25 * F.interpolate(x.sum(1, keepdim=True), scale_factor=2).expand_as(y)
    inside = (..., slice(2, -2), slice(2, -2))  # a transposed convolution assumes zeros outside
    return Verdict(
        judge(_error(y, bilinear) < 1e-5),
        {
            "error_to_bilinear": exact(_error(y, bilinear), "relative"),
            "error_to_a_quarter_of_nearest_of_the_sum": exact(_error(y, summed), "relative"),
            "error_of_the_true_bilinear_kernel": exact(_error(mended[inside], bilinear[inside]), "relative"),
        },
        "The layer is exactly 0.25 times the nearest enlargement of the sum over all input channels.",
        "Bilinear x2 needs a 4 x 4 kernel, the outer product of [1, 3, 3, 1] / 4 with itself, on the channel diagonal"
        " and zero elsewhere (initializer `bilinear`).",
    )


def _error(got: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((got - wanted).norm() / wanted.norm())
