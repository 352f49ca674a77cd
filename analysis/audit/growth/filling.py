"""Memory that is filled phase by phase, `y[..., ::2, ::2] = x`: an enlargement without any operator of its own."""

from __future__ import annotations

from fractions import Fraction

from torch import Tensor

from checkerscope.analysis.audit.growth.axes import Axes, image, single
from checkerscope.analysis.audit.growth.lineage import Lineage, Record
from checkerscope.analysis.audit.growth.records import Growth


def opening(target: Tensor, record: Record, lineage: Lineage, dims: int) -> Growth | None:
    """Return the enlargement that a copy into `target` begins; None where it leaves no gaps in space.

    Args:
        target: The view that is written.
        record: Of its memory.
        lineage: Of the values.
        dims: Spatial axes of the model.
    """
    steps = _steps(target, record)
    scale = [Fraction(1)] * dims
    for axis, step in zip(lineage.axes or image(record.shape), steps, strict=False):
        if axis and isinstance(axis[0].role, int):
            scale[axis[0].role] = Fraction(step)
    if max(scale) == 1:
        return None
    blocks = tuple((i, step) for i, step in enumerate(steps) if step > 1)
    return Growth("shuffle by reshape", tuple(scale), blocks)  # the values will tell


def _steps(view: Tensor, record: Record) -> list[int]:
    """Return the step of a view along every axis of the tensor that its memory was made for."""
    if view.dim() != len(record.shape):
        return []
    strides = zip(view.stride(), record.stride, strict=True)
    return [own // full if full and own % full == 0 else 1 for own, full in strides]


def whole_lineage(lineage: Lineage, shape: tuple[int, ...], is_complex: bool) -> Lineage:
    """Return what is known of the whole memory, from what is copied into a part of it."""
    is_spectrum = lineage.is_spectrum or is_complex
    grid = lineage.grid if is_spectrum else shape[2:]
    return Lineage(_whole_axes(lineage, shape), grid, lineage.periods, is_spectrum=is_spectrum)


def _whole_axes(lineage: Lineage, shape: tuple[int, ...]) -> Axes | None:
    if lineage.axes is None or len(lineage.axes) != len(shape):
        return None
    roles = [axis[0].role if axis else ("n", "c", 0, 1, 2)[i] for i, axis in enumerate(lineage.axes)]
    return tuple(single(role, length) for role, length in zip(roles, shape, strict=True))
