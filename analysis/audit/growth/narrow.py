"""Reshapes that enlarge an axis of length 1: channels take its place, and nothing tells them from channels."""

from __future__ import annotations

from checkerscope.analysis.audit.growth.axes import CHANNEL, Axes
from checkerscope.analysis.audit.growth.lineage import Lineage
from checkerscope.analysis.audit.growth.operators import VIEWS, Call


def hidden_axes(call: Call, axes: Axes | None, before: Lineage) -> set[int]:
    """Return the spatial axes of length 1 that a view to a map may have enlarged with channels."""
    dims = call.spatial_dims
    if call.name not in VIEWS or axes is None or len(axes) != dims + 2 or 1 not in before.grid:
        return set()
    return {
        i
        for i, length in enumerate(before.grid)
        if length == 1 and axes[i + 2] and all(atom.role == CHANNEL for atom in axes[i + 2])
    }
