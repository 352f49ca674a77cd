"""Maps that are cut into tiles, worked on apart and put together: by concatenation, by pasting, or in the batch."""

from __future__ import annotations

from torch import Tensor

from checkerscope.analysis.audit.growth.axes import Axes, space
from checkerscope.analysis.audit.growth.lineage import Lineage, Record
from checkerscope.analysis.audit.growth.operators import Call

#: A part is a tile if it is at least this share of the whole: thinner ones are borders and caches.
_SHARE = 8


def joins(call: Call, axes: Axes | None) -> bool:
    """Return whether a concatenation puts tiles together along space."""
    parts = call.args[0] if call.name == "cat" else ()
    if len(parts) < 2 or len(call.inputs) < len(parts) or axes is None:
        return False
    position = (int(call.args[1]) if len(call.args) > 1 else 0) % len(axes)
    lengths = [part.shape[position] for part in parts]
    distinct = len({id(part) for part in parts}) == len(parts)
    if len(parts) == 2 and call.spatial_dims == 3 and axes[position] and axes[position][0].role == 0:
        return False  # frames put behind those before them, with what a causal network remembers of these
    return position in space(axes) and distinct and min(lengths) * _SHARE >= max(lengths) and min(lengths) > 1


def pastes(target: Tensor, value: Tensor, record: Record, dims: int) -> bool:
    """Return whether a part of a larger map was written, and another part of it before."""
    if target.dim() != len(record.shape) or target.dim() < dims + 1 or target.is_complex():
        return False
    if tuple(target.stride()) != record.stride or value.dim() < dims:
        return False
    smaller = [a < b for a, b in zip(target.shape[-dims:], record.shape[-dims:], strict=True)]
    if not any(smaller) or target.shape[-dims:].numel() < 4:
        return False
    record.pasted.add(int(target.storage_offset()) % max(1, _plane(record, dims)))
    return len(record.pasted) > 1


def _plane(record: Record, dims: int) -> int:
    """Return how many numbers one channel takes in memory; offsets beyond are other channels."""
    return record.shape[-dims] * record.stride[-dims]


def in_batch(call: Call) -> bool:
    """Return whether a convolution runs on pieces of a map that lie in the batch."""
    lineage: Lineage | None = call.first
    if call.name != "convolution" or lineage is None or lineage.axes is None or not lineage.axes:
        return False
    kernel = call.args[1].shape[2:]
    batch = {atom.role for atom in lineage.axes[0] if atom.is_spatial}
    pieces = {atom.role for axis in lineage.axes[2:] for atom in axis}
    return bool(batch & pieces) and max(kernel, default=1) > 1
