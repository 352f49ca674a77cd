"""Gain and offset per output phase, fitted to data, in one periodic layer at the output."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from checkerscope.toolkit import checks, parametrizations
from checkerscope.toolkit.contracts.upsampler import Upsampler
from checkerscope.toolkit.remedies import _running, _sites
from checkerscope.toolkit.remedies._layers import Cured, PhaseAffine

LABEL = "Gain and offset per phase"
SOURCE = "this study"
PROMISE = "needs data"
APPLIES_TO = ("transposed convolution", "sub-pixel shuffle")
COST = "one multiplication and one addition per output value; leaves the grid that follows the content"

#: Output cells at every border that the fit leaves out.
MARGIN_CELLS = 2


def apply(
    module: nn.Module,
    *,
    inputs: Tensor | None = None,
    targets: Tensor | None = None,
    period: int | None = None,
) -> nn.Module:
    """Return a copy of `module` with y' = a y + b behind its last layer, one (a, b) per output channel and phase.

    Fitted by least squares to `targets`. It raises PSNR a little and removes the systematic part of the tone, but not
    the part that follows the content. Warning: fit it on images as the module will meet them; fitted on flat images
    alone it makes the tone of others worse.

    Args:
        module: Any module from a map to a map.
        inputs: What the module is given, (N, C, *spatial).
        targets: What it should make of them, of its output's shape; the inputs themselves by default.
        period: Of the phases in output pixels; the product of the strides of its enlargements by default.

    Raises:
        ValueError: If there are no inputs, nothing enlarges, or the output has another shape than the targets.
    """
    if inputs is None:
        raise checks.mismatch("phase_affine: inputs", "images (N, C, *spatial) to fit to", "none", "pass inputs")
    cured = parametrizations.copied(module, "phase_affine")
    found = _sites.wanted(cured, "phase_affine", [site.kind for site in _sites.find(cured)] or APPLIES_TO)
    target = inputs if targets is None else targets
    output = _running.outputs(cured, inputs)
    checks.shape("phase_affine: targets", target, tuple(output.shape))
    sides = (period,) * (output.dim() - 2) if period is not None else _sites.period(found)
    gain, offset = fit(output, target, [checks.integer("phase_affine: period", side) for side in sides])
    layer = PhaseAffine(gain.to(output), offset.to(output)).train(module.training)
    return _behind_output(cured, layer)


def fit(output: Tensor, target: Tensor, period: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return gain and offset (C, *period), float64, that minimise the sum of |gain output + offset - target|^2.

    A phase without contrast keeps gain 1.

    >>> y = torch.tensor([[[0.0, 1.0, 2.0, 3.0] * 6]])
    >>> [round(float(v), 6) for v in fit(y, 2 * y + 1, [1])[0].flatten()]
    [2.0]
    """
    gain = output.new_ones(output.shape[1], *period, dtype=torch.float64)
    offset = torch.zeros_like(gain)
    margins = [MARGIN_CELLS * length for length in period]
    for phase in itertools.product(*(range(length) for length in period)):
        at: Any = (slice(None), *phase)
        index: Any = (
            slice(None),
            slice(None),
            *(
                slice(m + p, side - m, n)
                for m, p, side, n in zip(margins, phase, output.shape[2:], period, strict=True)
            ),
        )
        y, t = (x[index].double().transpose(0, 1).flatten(1) for x in (output, target))
        if not y.shape[1]:
            raise checks.mismatch(
                "phase_affine: inputs", f"more than {2 * MARGIN_CELLS} cells a side", tuple(output.shape)
            )
        centred = y - y.mean(1, keepdim=True)
        power = centred.square().sum(1)
        slope = (centred * t).sum(1) / power.clamp_min(1e-300)
        a = torch.where(power > 1e-12 * y.shape[1], slope, torch.ones_like(slope))
        gain[at] = a
        offset[at] = t.mean(1) - a * y.mean(1)
    return gain, offset


def _behind_output(module: nn.Module, layer: nn.Module) -> nn.Module:
    """Put `layer` behind the last convolution of one of our networks, behind any other module as a whole."""
    final, upsamplers = getattr(module, "final", None), getattr(module, "upsamplers", None)
    if not isinstance(final, nn.Module) or not isinstance(upsamplers, nn.ModuleList):
        return nn.Sequential(module, layer).train(module.training)
    if not isinstance(final, nn.Identity):
        module.final = nn.Sequential(final, layer)
    elif isinstance(upsamplers[-1], Upsampler):
        upsamplers[-1] = Cured(upsamplers[-1], nn.Sequential(upsamplers[-1], layer))
    return module
