"""What the manual transposed convolution leaves out, and a version that has it all."""

from __future__ import annotations

import inspect

import torch
from torch.nn import functional as F

from checkerscope.experiments.claims.article._listings import run
from checkerscope.experiments.claims.article._sweep import configurations
from checkerscope.experiments.verdicts.contract import Verdict, exact, judge, pick
from checkerscope.toolkit.geometry.reference import transposed_convolution

LABEL = "Manual version, all options"
SOURCE = "founding article, section 2.2"
KIND = "article"
STATEMENT = (
    "The manual function carries out what ConvTranspose2d does: bias, groups, dilation and output_padding included."
)


def check(budget: str) -> Verdict:
    """Count the options that it takes, and run the corrected version over random configurations."""
    asked = {"bias", "groups", "dilation", "output_padding", "stride", "padding"}
    taken = asked & set(inspect.signature(run("2.2")["manual_transposed_conv"]).parameters)
    worst, cases = 0.0, pick(budget, smoke=60, full=600)
    for seed, c in enumerate(configurations(cases, seed=2)):
        g = torch.Generator().manual_seed(seed)
        x = torch.randn(2, c.channels_in, 5, 6, generator=g, dtype=torch.float64)
        w = torch.randn(c.channels_in, c.channels_out // c.groups, *c.kernel, generator=g, dtype=torch.float64)
        b = torch.randn(c.channels_out, generator=g, dtype=torch.float64)
        expected = F.conv_transpose2d(x, w, b, c.stride, c.padding, c.output_padding, c.groups, c.dilation)
        got = transposed_convolution(
            x, w, b, stride=c.stride, padding=c.padding, output_padding=c.output_padding, dilation=c.dilation,
            groups=c.groups,
        )  # fmt: skip
        worst = max(worst, float((got - expected).abs().max()))
    return Verdict(
        judge(len(taken) == len(asked)),
        {
            "options_of_the_listing": exact(len(taken), n=len(asked)),
            "error_of_the_corrected_version": exact(worst, n=cases),
        },
        "It has stride and padding only, one number for both axes.",
        "toolkit.geometry.reference.transposed_convolution takes the same four steps with every option, in one to"
        " three dimensions, and equals torch's to rounding.",
    )
