"""Reshapes that enlarge an axis of length 1: channels take its place, and nothing tells them from channels."""

from __future__ import annotations

from fractions import Fraction
from math import prod

from checkerscope.analysis.audit.growth.axes import CHANNEL, Axes
from checkerscope.analysis.audit.growth.lineage import Lineage
from checkerscope.analysis.audit.growth.operators import VIEWS, Call
from checkerscope.analysis.audit.growth.records import Growth


def hidden_axes(call: Call, axes: Axes | None, before: Lineage) -> set[int]:
    """Return the spatial axes of length 1 that a view to a map may have enlarged with channels."""
    dims = call.spatial_dims
    if call.name not in VIEWS or axes is None or len(axes) != dims + 2 or 1 not in before.grid:
        return set()
    others = [(axis, i) for i, (axis, length) in enumerate(zip(axes[2:], before.grid, strict=True)) if length > 1]
    if any(not axis or axis[0].role != i for axis, i in others):
        return set()  # heads or tokens, and no map
    return {
        i
        for i, length in enumerate(before.grid)
        if length == 1 and axes[i + 2] and all(atom.role == CHANNEL for atom in axes[i + 2])
    }


def out_of_nothing(call: Call, axes: Axes, lineage: Lineage) -> Growth | None:
    """Return the growth by channels that move into an axis of length 1 beside longer ones, frame by frame, if any."""
    found = hidden_axes(call, axes, lineage)
    if not found or len(set(lineage.grid)) == 1:
        return None
    blocks = tuple((i + 2, prod(atom.size for atom in axes[i + 2])) for i in sorted(found))
    scale = [Fraction(1)] * call.spatial_dims
    for position, factor in blocks:
        scale[position - 2] = Fraction(factor)
    return Growth("shuffle by reshape", tuple(scale), blocks)
