"""What the article should have shown: the transposed convolution is the adjoint of the convolution."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from checkerscope.experiments.claims.article._sweep import configurations
from checkerscope.experiments.verdicts.contract import Verdict, exact, judge, pick

LABEL = "Only the shape is reversed"
SOURCE = "founding article, section 2.1"
KIND = "article"
STATEMENT = "A transposed convolution is the reverse of a convolution in shape only."


def check(budget: str) -> Verdict:
    """Compare inner products and gradients over random kernels, strides, paddings, dilations, groups and paddings."""
    worst_product, worst_gradient, cases = 0.0, 0.0, 0
    for c in configurations(pick(budget, smoke=60, full=600), seed=0):
        if any(op >= s for op, s in zip(c.output_padding, c.stride, strict=True)):
            continue  # a convolution of the larger map has more outputs than there were inputs
        g = torch.Generator().manual_seed(cases)
        weight = torch.randn(c.channels_in, c.channels_out // c.groups, *c.kernel, generator=g, dtype=torch.float64)
        y = torch.randn(2, c.channels_in, 5, 6, generator=g, dtype=torch.float64)
        back = F.conv_transpose2d(y, weight, None, c.stride, c.padding, c.output_padding, c.groups, c.dilation)
        x = torch.randn(back.shape, generator=g, dtype=torch.float64, requires_grad=True)
        # the convolution with the same weight runs the other way: from channels_out to channels_in
        forth = F.conv2d(x, weight, None, c.stride, c.padding, c.dilation, c.groups)
        (gradient,) = torch.autograd.grad(forth, x, y)
        forth, x = forth.detach(), x.detach()
        scale = float(forth.norm() * y.norm())
        worst_product = max(worst_product, abs(float((forth * y).sum() - (x * back).sum())) / scale)
        worst_gradient = max(worst_gradient, float((gradient - back).abs().max() / back.abs().max()))
        cases += 1
    return Verdict(
        judge(worst_product > 1e-9, worst_gradient > 1e-9),
        {
            "inner_product_error": exact(worst_product, n=cases),
            "gradient_error": exact(worst_gradient, n=cases),
        },
        "With the same weights <conv(x), y> = <x, transposed(y)> to rounding in every configuration, and the transposed"
        " convolution is exactly the gradient of the convolution with respect to its input.",
        "A transposed convolution is the transpose (adjoint) of the convolution with the same weights, which says more"
        " than the shape; the shape itself comes back only if output_padding supplies what the stride dropped.",
    )
