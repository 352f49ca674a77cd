"""Operators that move values about, done to the indices that run beside the values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

#: Operators that move values and compute nothing; all are done to the indices as well.
MOVING = frozenset(
    [
        "view",
        "_unsafe_view",
        "reshape",
        "_reshape_alias",
        "permute",
        "transpose",
        "t",
        "clone",
        "contiguous",
        "unsqueeze",
        "squeeze",
        "expand",
        "slice",
        "select",
        "flip",
        "roll",
        "alias",
        "detach",
        "pixel_shuffle",
        "pixel_unshuffle",
        "channel_shuffle",
        "unfold",
        "split",
        "split_with_sizes",
        "chunk",
        "unbind",
        "cat",
        "stack",
        "_to_copy",
        "narrow",
        "movedim",
        "index_select",
    ]
)
VIEWING = ("view", "_unsafe_view", "reshape", "_reshape_alias")
#: Of these the first argument is a list of tensors.
JOINING = ("cat", "stack")


def done(func: Any, name: str, index: Any, args: Any, kwargs: Any, results: Sequence[Tensor]) -> list[Tensor]:
    """Return what an operator that moves values makes of the indices beside them."""
    if name == "_to_copy":
        return [index]
    if name in VIEWING:  # the indices need not lie in memory as the values do
        return [index.reshape(results[0].shape)]
    done = func(index, *args[1:], **kwargs)
    return list(done) if isinstance(done, (list, tuple)) else [done]


def channels(map_: Tensor, axis: int) -> Tensor:
    """Return the channel of every value of a map, (N, C, ...) for axis 1, in no memory of its own."""
    index = torch.arange(map_.shape[axis], device=map_.device)
    shape = [1] * map_.dim()
    shape[axis] = -1
    return index.reshape(shape).expand(map_.shape)


def spread(index: Tensor, result: Tensor) -> Tensor:
    """Return indices in the shape of what their tensor was spread over."""
    return index.expand(result.shape) if index.numel() < result.numel() else index
