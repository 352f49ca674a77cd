"""Normalization layers that take their statistics from the map, held at those of the example.

A map that is flat all over has no variance: instance normalization would divide rounding by the root of its epsilon,
layer after layer, until it is as strong as content. A flat region of a picture does not see that: the rest of the
picture sets the statistics. So a flat probe is normalized as a flat region of the example would be.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_NAMES = ("native_group_norm", "native_batch_norm", "native_layer_norm")


class Norms:
    """The statistics of every normalization of a pass, in order of execution."""

    def __init__(self) -> None:
        self._seen: list[tuple[str, torch.Size, Tensor, Tensor]] = []

    def note(self, name: str, args: tuple[Any, ...], out: tuple[Tensor, ...]) -> None:
        """Keep the mean and the inverse deviation that an operator has used."""
        self._seen.append((name, args[0].shape, out[1].clone(), out[2].clone()))

    def held(self, index: int, name: str, args: tuple[Any, ...]) -> tuple[Tensor, ...] | None:
        """Return what an operator gives with the statistics kept at `index`; None if those are another's."""
        if index >= len(self._seen) or self._seen[index][:2] != (name, args[0].shape):
            return None
        mean, scale = self._seen[index][2:]
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


def uses_map(name: str, args: tuple[Any, ...]) -> bool:
    """Return whether an operator normalizes by statistics that it takes over space."""
    if name == "native_batch_norm":
        return bool(args[5])
    if name == "native_layer_norm":
        return len(args[1]) > 1
    return name in _NAMES


def _per_channel(value: Tensor | None, x: Tensor) -> Tensor | None:
    return None if value is None else value.reshape(1, -1, *(1,) * (x.dim() - 2))
