"""What every axis of a tensor stands for, followed through reshapes: a symbolic record, no data is touched.

A tensor's axis is a row-major product of *atoms*, each a piece of a batch, channel or spatial axis. Splitting, merging
and permuting axes moves the atoms about. A pixel shuffle, in whatever order it is written, then shows as an axis
whose slow atoms are spatial and whose fast atoms are channels; a window partition, a head split or a flattening does
not.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

BATCH, CHANNEL, MIXED = "n", "c", "x"


class Atom(NamedTuple):
    """A piece of an axis.

    Attributes:
        role: "n" (batch), "c" (channel), an int (spatial axis) or "x" (several spatial axes that lost their order).
        size: Its length, above 1.
        stride: Step in the axis that it was split from, in that axis's own elements.
    """

    role: str | int
    size: int
    stride: int = 1

    @property
    def is_spatial(self) -> bool:
        """Whether it is a piece of space."""
        return self.role not in (BATCH, CHANNEL)


Axis = tuple[Atom, ...]
Axes = tuple[Axis, ...]


def single(role: str | int, size: int) -> Axis:
    """Return an axis of one atom; an axis of length 1 has none."""
    return (Atom(role, size),) if size > 1 else ()


def image(shape: Sequence[int]) -> Axes:
    """Return the axes of a map (N, C, *spatial).

    >>> image((1, 3, 4, 4))[2]
    (Atom(role=0, size=4, stride=1),)
    """
    n, c, *space = shape
    return single(BATCH, n), single(CHANNEL, c), *(single(i, length) for i, length in enumerate(space))


def image_of(shape: Sequence[int], dims: int) -> Axes:
    """Return the axes of a map (N, C, *sides) inside a model of `dims` spatial axes.

    A layer with fewer axes acts on the last ones. One with more has sides of length 1, which are none, or leading
    ones (the frequencies of a spectrogram inside an audio model) that count as channels.

    >>> image_of((1, 3, 4, 1), 1)[2:], image_of((1, 3, 4, 5), 3)[3]
    (((Atom(role=0, size=4, stride=1),), ()), (Atom(role=2, size=5, stride=1),))
    """
    n, c, *sides = shape
    long = [i for i, side in enumerate(sides) if side > 1 or len(sides) <= dims][-dims:]
    roles = {i: dims - len(long) + rank for rank, i in enumerate(long)}
    return single(BATCH, n), single(CHANNEL, c), *(single(roles.get(i, CHANNEL), s) for i, s in enumerate(sides))


def regroup(axes: Axes, shape: Sequence[int]) -> Axes | None:
    """Return the axes after a view to `shape`; None where the pieces do not fit.

    >>> regroup(image((1, 8, 4, 4)), (1, 2, 2, 2, 4, 4))[1:4]
    ((Atom(role='c', size=2, stride=4),), (Atom(role='c', size=2, stride=2),), (Atom(role='c', size=2, stride=1),))
    """
    queue = [atom for axis in axes for atom in axis]
    out: list[Axis] = []
    for length in shape:
        taken: list[Atom] = []
        while length > 1 and queue:
            atom = queue.pop(0)
            if length % atom.size == 0:
                taken.append(atom)
                length //= atom.size
            elif atom.size % length == 0:
                rest = atom.size // length
                taken.append(Atom(atom.role, length, atom.stride * rest))
                queue.insert(0, Atom(atom.role, rest, atom.stride))
                length = 1
            else:
                return None
        if length > 1:
            return None
        out.append(_joined(taken))
    return None if queue else tuple(out)


def _joined(atoms: Sequence[Atom]) -> Axis:
    """Return the atoms with neighbours merged again that were split and are back in order."""
    out: list[Atom] = []
    for atom in atoms:
        last = out[-1] if out else None
        if last and last.role == atom.role and last.stride == atom.stride * atom.size:
            out[-1] = Atom(atom.role, last.size * atom.size, atom.stride)
        else:
            out.append(atom)
    return tuple(out)


def resized(axis: Axis, length: int) -> Axis:
    """Return the axis cut, padded or resampled to another length; a new axis counts as channels."""
    roles = {atom.role for atom in axis}
    if not roles:
        return single(CHANNEL, length)
    if len(roles) == 1:
        return single(next(iter(roles)), length)
    return single(MIXED if any(atom.is_spatial for atom in axis) else CHANNEL, length)


def broadcast(candidates: Sequence[tuple[Axes, Sequence[int]]], shape: Sequence[int]) -> Axes:
    """Return the axes of an elementwise result of `shape`, from the (axes, shape) of its inputs, right-aligned."""
    out = []
    for position in range(1, len(shape) + 1):
        pieces = [axes[-position] for axes, _ in candidates if len(axes) >= position]
        same = [a for a in pieces if prod(atom.size for atom in a) == shape[-position]]
        best = max(same or pieces, key=lambda a: (any(atom.is_spatial for atom in a), len(a)), default=())
        out.append(best if same else resized(best, shape[-position]))
    return tuple(reversed(out))


def extents(axes: Axes) -> dict[int, int]:
    """Return the length of every spatial axis that can be told, whatever axes its pieces are spread over."""
    found: dict[int, int] = {}
    for atom in (atom for axis in axes for atom in axis):
        if isinstance(atom.role, int):
            found[atom.role] = found.get(atom.role, 1) * atom.size
    return found


def space(axes: Axes) -> list[int]:
    """Return the positions of the axes that are purely spatial, and start with no batch."""
    return [i for i, axis in enumerate(axes) if axis and all(atom.is_spatial for atom in axis)]


def shuffled(axes: Axes) -> dict[int, Axis]:
    """Return, for each position whose axis interleaves channels into space, the channel atoms.

    Such an axis is one spatial axis (slow) followed by channels (fast). The result is empty unless every other axis
    of the tensor is batch, channels or one piece of space: then it is a map or a signal, not a flattened vector.

    >>> x = regroup(image((1, 8, 4, 4)), (1, 2, 2, 2, 4, 4))
    >>> y = regroup(tuple(x[i] for i in (0, 1, 4, 2, 5, 3)), (1, 2, 8, 8))
    >>> {position: atoms[0].size for position, atoms in shuffled(y).items()}
    {2: 2, 3: 2}
    """
    found: dict[int, Axis] = {}
    for position, axis in enumerate(axes):
        slow = [atom for atom in axis if atom.is_spatial]
        fast = axis[len(slow) :]
        if slow and fast and tuple(slow) == axis[: len(slow)] and len({atom.role for atom in slow}) == 1:
            if any(atom.role != CHANNEL for atom in fast):
                return {}
            found[position] = fast
    return found


def settled(axes: Axes, shape: Sequence[int]) -> Axes:
    """Return the axes of a map after a shuffle: every axis with space in it is one whole spatial axis again."""
    slow = [axis[0].role if axis and axis[0].is_spatial else None for axis in axes]
    named = [role for role in slow if role is not None]
    if MIXED in named or len(set(named)) < len(named):  # tokens have lost which axis is which: number them in order
        slow = [None if role is None else sum(r is not None for r in slow[:i]) for i, role in enumerate(slow)]
    return tuple(
        axis if role is None else single(role, length) for axis, role, length in zip(axes, slow, shape, strict=True)
    )
