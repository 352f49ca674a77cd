"""Statistics that a network takes over its map and feeds back, held at those of the example.

A map that is flat all over has no variance: a network that divides by its map's own deviation would multiply rounding,
or multiply a grid by zero. A flat region of a picture does not see that: the rest of the picture sets the statistics.
So a flat probe has the statistics of the example, whoever computes them: a normalization layer, or a mean over space.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from checkerscope.analysis.audit.growth.axes import Axes, space
from checkerscope.analysis.audit.tracing.flatness import flattened

_NORMS = ("native_group_norm", "native_batch_norm", "native_layer_norm")
#: Reductions, and where the axes that they reduce stand among their arguments.
_REDUCTIONS = {
    **dict.fromkeys(("mean", "sum", "nansum", "var", "std", "var_mean", "std_mean", "amax", "amin", "logsumexp"), 1),
    **dict.fromkeys(("max", "min", "median", "nanmedian", "prod", "aminmax"), 1),
    **dict.fromkeys(("norm", "linalg_vector_norm"), 2),
    **dict.fromkeys(("topk", "kthvalue"), 2),
    "sort": 1,
}
#: Those that put values in order along an axis, which is none of space any more.
_ORDERING = ("sort", "topk", "kthvalue")
_SINGLE_AXIS = ("max", "min", "median", "nanmedian", "prod")
_Seen = tuple[str, torch.Size, tuple[Tensor, ...]]


class Statistics:
    """The statistics of a pass over the example, in order of execution."""

    def __init__(self) -> None:
        self._seen: list[_Seen] = []

    def note(self, name: str, x: Tensor, values: tuple[Tensor, ...]) -> None:
        """Keep what an operator has computed of `x`."""
        self._seen.append((name, x.shape, tuple(value.clone() for value in values)))

    def held(self, index: int, name: str, x: Tensor) -> tuple[Tensor, ...] | None:
        """Return what was kept at `index`; None if that is another operator's."""
        if index >= len(self._seen) or self._seen[index][:2] != (name, x.shape):
            return None
        return tuple(value.clone() for value in self._seen[index][2])


def normalizes(name: str, args: tuple[Any, ...], axes: Axes | None) -> bool:
    """Return whether an operator is a normalization by statistics that it takes over space."""
    if name == "native_batch_norm":
        return bool(args[5])
    if name == "native_layer_norm":
        last = (axes or ())[-len(args[1]) :]
        return len(args[1]) > 1 or any(atom.is_spatial for axis in last for atom in axis)
    return name in _NORMS


def normalized(name: str, args: tuple[Any, ...], kept: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return what a normalization gives with another mean and inverse deviation."""
    mean, scale = kept
    x = args[0]
    if name == "native_layer_norm":
        y = (x - mean) * scale
        weight, bias = args[2:4]
    else:
        groups = mean.shape if name == "native_group_norm" else (1, x.shape[1])
        parts = x.reshape(*groups, -1) if name == "native_group_norm" else x.reshape(*x.shape[:2], -1)
        y = ((parts - mean.reshape(*groups, 1)) * scale.reshape(*groups, 1)).reshape(x.shape)
        weight, bias = (_per_channel(value, x) for value in args[1:3])
    y = y if weight is None else y * weight
    y = y if bias is None else y + bias
    return y.to(x.dtype), mean, scale


def _per_channel(value: Tensor | None, x: Tensor) -> Tensor | None:
    return None if value is None else value.reshape(1, -1, *(1,) * (x.dim() - 2))


def is_statistic(name: str, args: tuple[Any, ...], axes: Axes | None) -> bool:
    """Return whether an operator reduces at least one whole spatial axis of a map to a number."""
    positions = reduced(name, args)
    if positions is None or axes is None or len(axes) != args[0].dim() or not args[0].is_floating_point():
        return False
    gone = {atom.role for i in positions for atom in axes[i] if atom.is_spatial}
    left = {atom.role for i, axis in enumerate(axes) if i not in positions for atom in axis}
    return bool(gone - left)


def reduced(name: str, args: tuple[Any, ...]) -> set[int] | None:
    """Return the positions of the axes that an operator reduces; None if it reduces none.

    >>> sorted(reduced("mean", (torch.zeros(1, 2, 3, 4), [2, -1])))
    [2, 3]
    """
    if name not in _REDUCTIONS or not args or not isinstance(args[0], Tensor):
        return None
    n, at = args[0].dim(), _REDUCTIONS[name]
    asked = args[at] if len(args) > at else None
    if isinstance(asked, Tensor):
        return None  # max(a, b): elementwise
    if name in _ORDERING and asked is None:
        return {n - 1}
    if isinstance(asked, int) and not isinstance(asked, bool):
        return {asked % n}
    if name in _SINGLE_AXIS or not isinstance(asked, list | tuple) or not asked:
        return set(range(n))
    return {int(i) % n for i in asked}


def made_flat(name: str, values: tuple[Tensor, ...], axes: Axes | None) -> tuple[Tensor, ...]:
    """Return statistics that vary along an axis of space (of every row, say) as their mean along it."""
    if axes is None or name in _ORDERING:
        return values
    return tuple(flattened(v, space(axes)) if v.dim() == len(axes) else v for v in values)
