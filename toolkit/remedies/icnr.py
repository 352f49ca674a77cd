"""ICNR: draw every kernel that enlarges anew, the same for all phases."""

from __future__ import annotations

from math import prod

import torch
from torch import nn

from checkerscope.toolkit import checks
from checkerscope.toolkit.contracts.upsampler import Layout
from checkerscope.toolkit.initializers import icnr, icnr_transposed
from checkerscope.toolkit.remedies import _sites
from checkerscope.toolkit.remedies._sites import Parameter

LABEL = "ICNR re-initialization"
SOURCE = "Aitken 2017, arXiv:1707.02937"
PROMISE = "needs fine-tuning"
APPLIES_TO = ("transposed convolution", "sub-pixel shuffle")
COST = "none at inference; what the layers have learned is lost, and the phases part again in training"


def apply(module: nn.Module, *, seed: int = 0) -> nn.Module:
    """Return a copy of `module` whose enlarging kernels are drawn anew, equal over the phases.

    The layers start as a convolution followed by a nearest resize; what they had learned is gone and nothing keeps
    the phases equal in the training that must follow. Biases keep their mean over phases.

    Args:
        module: Any module with transposed convolutions whose kernel size is a multiple of the stride, or with
            convolutions in front of a pixel shuffle.
        seed: Of the new kernels.

    Raises:
        ValueError: If there is no such layer, or a kernel size is no multiple of its stride.
    """
    cured = _sites.copied(module, "icnr")
    kernels = [(site, kernel) for site in _sites.learned(cured, "icnr") for kernel in site.parameters()]
    generator = torch.Generator().manual_seed(checks.integer("icnr: seed", seed, minimum=0))
    for site, kernel in kernels:
        try:
            _fill(kernel, generator)
        except ValueError as error:
            raise ValueError(f"icnr: {site.path or site.kind}: {error}") from None
    return cured


def _fill(kernel: Parameter, generator: torch.Generator) -> None:
    dilation = max(getattr(kernel.owner, "dilation", (1,)))
    layout = Layout(kernel.kind, kernel.strides, kernel.groups, dilation)
    fill = icnr_transposed.fill if kernel.kind == "transposed" else icnr.fill
    weight = getattr(kernel.owner, kernel.name)
    drawn = torch.empty(weight.shape, dtype=weight.dtype)
    fill(drawn, layout, scale=max(kernel.strides), generator=generator)
    with torch.no_grad():
        weight.copy_(drawn)
        if kernel.kind == "sub_pixel" and kernel.bias:
            phases = prod(kernel.strides)
            bias = getattr(kernel.owner, kernel.bias)
            bias.copy_(bias.unflatten(0, (-1, phases)).mean(1).repeat_interleave(phases))
