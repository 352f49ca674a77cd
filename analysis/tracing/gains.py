"""What the weights of an enlargement say by themselves: phase gains and overlap."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor

from analysis.tracing.growth import Taps
from toolkit.geometry import Axis
from toolkit.overlap import phase_counts


def phase_gains(taps: Taps) -> Tensor:
    """Return the level of every phase on a constant of one, per pair of channels, float64 (C_in, C_out, phases).

    Only what is connected counts: with groups, C_out is the number of outputs per group.
    """
    weight = taps.weight.double()
    if taps.order is not None:
        sums = weight.flatten(2).sum(-1) if weight.dim() > 2 else weight  # channel, C_in
        return sums[taps.order.to(sums.device)].permute(2, 0, 1)
    for axis, (stride, dilation) in enumerate(zip(taps.strides, taps.dilation, strict=True), start=2):
        phase = torch.arange(weight.shape[axis], device=weight.device) * dilation % stride
        sums = weight.new_zeros(*weight.shape[:axis], stride, *weight.shape[axis + 1 :])
        weight = sums.index_add(axis, phase, weight)
    return weight.flatten(2)


def gain_spread(taps: Taps) -> float:
    """Return the RMS deviation of the phase gains from their mean over the phases, over their RMS; 0 for no gain.

    >>> gain_spread(Taps(torch.tensor([[[1.0, 2.0, 1.0]]]), (2,), (1,)))
    0.0
    """
    gains = phase_gains(taps)
    power = gains.square().mean()
    return float(((gains - gains.mean(-1, keepdim=True)).square().mean() / power).sqrt()) if power > 0 else 0.0


def overlap(taps: Taps) -> float | None:
    """Return the highest over the lowest number of taps that reach an output pixel, inf where some get none.

    None for a shuffle, where every pixel gets the same number.
    """
    if taps.order is not None:
        return None
    sizes = zip(taps.weight.shape[2:], taps.strides, taps.dilation, strict=True)
    counts = [phase_counts([Axis(k, s, dilation=d)]) for k, s, d in sizes]
    return float(reduce(lambda ratio, c: ratio * (c.max() / c.min() if c.min() else float("inf")), counts, 1.0))
