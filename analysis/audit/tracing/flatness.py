"""What values tell: making a map flat, the kind of a reshape, the grid in a layer's own output."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor


def flattened(x: Tensor, positions: Sequence[int]) -> Tensor:
    """Return `x` with every value replaced by the mean over the axes at `positions`.

    >>> flattened(torch.tensor([[1.0, 3.0], [5.0, 5.0]]), [1])
    tensor([[2., 2.],
            [5., 5.]])
    """
    if not positions or not x.is_floating_point():
        return x
    return x.mean(list(positions), keepdim=True).expand_as(x).contiguous()


def kind_of_blocks(x: Tensor, blocks: Sequence[tuple[int, int]], otherwise: str) -> str:
    """Return what a reshape did, from the values: the phases are equal, all but one zero, or all different.

    Args:
        x: The enlarged map.
        blocks: (axis, factor) of every axis that grew.
        otherwise: The kind where the phases differ.
    """
    phases = [x]
    for position, factor in blocks:
        phases = [p.movedim(position, 0)[k::factor].movedim(0, position) for p in phases for k in range(factor)]
    if all(p.shape == phases[0].shape and torch.equal(p, phases[0]) for p in phases[1:]):
        return "repetition"
    filled = sum(bool(p.any()) for p in phases)
    return "zero insertion" if filled == 1 else otherwise


def own_tone(x: Tensor, positions: Sequence[int], scale: Sequence[Fraction]) -> float | None:
    """Return the share of the AC part in the power of the phase means, folded at the enlargement's own factor.

    Args:
        x: Output of the enlargement for a flat input.
        positions: Its spatial axes.
        scale: Factor per spatial axis of the model, of which the last belong to `positions`.
    """
    if not positions:
        return None
    positions = positions[-len(scale) :]  # tiles in the batch are pieces of space, too
    x = torch.view_as_real(x.detach()) if x.is_complex() else x.detach()
    means = x.to("cpu", torch.float64)
    for position, factor in zip(positions, [s.numerator for s in scale][-len(positions) :], strict=True):
        count = means.shape[position] // factor
        if count == 0:
            return None
        cut = means.narrow(position, 0, count * factor).movedim(position, -1)
        means = cut.unflatten(-1, (count, factor)).mean(-2).movedim(-1, position)
    total = means.square().mean()
    if not total > 0:
        return 0.0
    return float((means - means.mean(list(positions), keepdim=True)).square().mean() / total)
