"""Where every tensor of a forward pass comes from: its axes, its resolution, the grids that it may carry."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import lcm, prod
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from checkerscope.analysis.audit.growth.axes import MIXED, Axes, extents

Period = tuple[int, ...]
Geometry = tuple[int, tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True)
class Source:
    """The layer whose channels a tensor still holds, only moved about.

    Attributes:
        weight: Its kernel, (C_out, C_in / groups, *k), or a matrix (C_out, C_in).
        groups: Its channel groups.
    """

    weight: Tensor
    groups: int = 1


@dataclass(frozen=True)
class Lineage:
    """What is known of one tensor.

    Attributes:
        axes: What its axes stand for; None where a reshape could not be followed.
        grid: Length of every spatial axis of the map that it holds.
        periods: Periods of the grids that enlargements may have left in it, in its own pixels per axis.
        source: The layer that computed its channels, as long as they were only moved since.
        is_spectrum: Its axes are frequencies; `grid` is that of the pixels that they came from.
        squashed: Number of the saturating call (sigmoid, clamp, argmax ...) behind which values were only moved,
            scaled or shifted; None for any other tensor.
    """

    axes: Axes | None
    grid: tuple[int, ...]
    periods: frozenset[Period] = frozenset()
    source: Source | None = None
    is_spectrum: bool = False
    squashed: int | None = None

    @property
    def area(self) -> int:
        """Number of pixels of the map that it holds, 0 if it holds none."""
        return prod(self.grid) if self.grid else 0

    def is_near(self, other: Lineage) -> bool:
        """Return whether two resolutions are the same up to padding."""
        return all(3 * x >= 2 * y and 2 * x <= 3 * y for x, y in zip(self.grid, other.grid, strict=True))


def scaled(periods: Iterable[Period], ratio: Sequence[Fraction]) -> frozenset[Period]:
    """Return the periods in pixels of a map whose resolution is `ratio` times as high; those of one pixel vanish.

    >>> sorted(scaled([(2, 2), (4, 4)], [Fraction(1, 2), Fraction(1, 2)]))
    [(2, 2)]
    """
    changed = {tuple((Fraction(p) * r).numerator for p, r in zip(period, ratio, strict=True)) for period in periods}
    return frozenset(period for period in changed if any(p > 1 for p in period))


def whole(periods: Iterable[Period], dims: int) -> Period:
    """Return the period of all grids together: the least common multiple per axis."""
    return tuple(lcm(*axis) for axis in zip((1,) * dims, *periods, strict=True))


@dataclass
class Record:
    """One piece of memory, and the tensors in it.

    Attributes:
        reference: Keeps the address from being reused while the record lives.
        shape: Of the tensor that it was made for.
        stride: Of that tensor.
        views: What is known of every view of it.
        pending: Marks memory that is being filled phase by phase; cleared when it is first read.
        pasted: Where parts of a map were written into it, as offsets in one channel.
    """

    reference: StorageWeakRef
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    views: dict[Geometry, Lineage] = field(default_factory=dict)
    pending: Any = None
    pasted: set[int] = field(default_factory=set)


def geometry(tensor: Tensor) -> Geometry:
    """Return what tells a view from the others of the same memory."""
    return int(tensor.storage_offset()), tuple(tensor.shape), tuple(tensor.stride())


class Ledger:
    """The lineage of every tensor, kept by memory rather than by object: views made inside torch have no object."""

    def __init__(self, spatial_dims: int) -> None:
        self.spatial_dims = spatial_dims
        self._records: dict[int, Record] = {}

    def record(self, tensor: Tensor) -> Record:
        """Return the record of a tensor's memory, made for this tensor if it is new."""
        storage = tensor.untyped_storage()
        found = self._records.get(storage._cdata)
        if found is None:
            found = Record(StorageWeakRef(storage), tuple(tensor.shape), tuple(tensor.stride()))
            self._records[storage._cdata] = found
        return found

    def knows(self, tensor: Tensor) -> bool:
        """Return whether the tensor's memory has been seen."""
        return tensor.untyped_storage()._cdata in self._records

    def of(self, tensor: Tensor) -> Lineage | None:
        """Return what is known of a tensor; None for one that the input has not reached."""
        found = self._records.get(tensor.untyped_storage()._cdata)
        if found is None or not found.views:
            return None
        exact = found.views.get(geometry(tensor))
        if exact is not None:
            return exact
        return replace(next(iter(found.views.values())), axes=None, source=None, squashed=None)

    def write(self, tensor: Tensor, lineage: Lineage) -> None:
        """Note what is known of a tensor."""
        self.record(tensor).views[geometry(tensor)] = lineage

    def grid(self, axes: Axes | None, before: tuple[int, ...]) -> tuple[int, ...]:
        """Return the resolution that `axes` tell of; the one before where tokens have lost their order."""
        if axes is None or any(atom.role == MIXED for axis in axes for atom in axis):
            return before
        told = extents(axes)
        return tuple(told.get(axis, 1) for axis in range(self.spatial_dims))


def has_memory(value: object) -> bool:
    """Return whether a value is a plain dense tensor, whose memory can be followed."""
    if not isinstance(value, Tensor) or value.layout is not torch.strided or value.is_meta:
        return False
    return not torch._C._functorch.is_batchedtensor(value)
