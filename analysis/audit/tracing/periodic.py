"""Convolutions, padding and resizes run as if the map were periodic, so that a flat input has no border at all.

Zero padding makes a border as wide as the receptive field, which in a deep decoder is the whole map. On a periodic
map a constant stays exactly constant until a layer makes a grid of it, and the grid covers every pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from checkerscope.analysis.audit.growth.axes import Axes

#: Cells that are repeated beyond each edge before a resize: more than any filter of torch's reaches.
RESIZE_REACH = 4


def wrap(x: Tensor, pads: Sequence[tuple[int, int]]) -> Tensor:
    """Return `x` continued periodically by (before, after) on its last `len(pads)` axes.

    >>> wrap(torch.arange(3.0), [(1, 2)])
    tensor([2., 0., 1., 2., 0., 1.])
    """
    for axis, (before, after) in enumerate(pads, start=x.dim() - len(pads)):
        length = x.shape[axis]
        if 0 <= before <= length and 0 <= after <= length and before + after > 0:
            x = torch.cat([x.narrow(axis, length - before, before), x, x.narrow(axis, 0, after)], axis)  # the quick way
        elif before or after:
            x = x.index_select(axis, torch.arange(-before, length + after, device=x.device) % length)
    return x


def run(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], axes: Axes | None) -> Any:
    """Return what `func` gives on a periodic map; functions without a border run as they are.

    Args:
        func: Operator of torch's dispatcher.
        args: Its arguments.
        kwargs: Its keyword arguments.
        axes: What the axes of its first argument stand for, None if unknown.
    """
    name = func._schema.name.removeprefix("aten::")
    if name == "convolution":
        return _convolution(func, args)
    if name == "constant_pad_nd" and axes is not None:
        return _constant_pad(func, args, kwargs, axes)
    if name.startswith(("reflection_pad", "replication_pad")) and min(args[1]) >= 0:
        return wrap(args[0], _pairs(args[1]))
    if name == "im2col":
        return _windows(func, args, kwargs)
    if name in ("avg_pool2d", "avg_pool3d"):
        return _average(func, args, kwargs)
    if name.startswith("upsample_") and "nearest" not in name and func._overloadname == "default":
        return _resize(func, args, kwargs)
    return func(*args, **kwargs)


def _pairs(pads: Sequence[int]) -> list[tuple[int, int]]:
    """Return (before, after) per axis, first axis first, from torch's flat list, last axis first."""
    return [(pads[i], pads[i + 1]) for i in range(len(pads) - 2, -1, -2)]


def _convolution(func: Callable[..., Tensor], args: tuple[Any, ...]) -> Tensor:
    x, weight, bias, stride, padding, dilation, transposed, output_padding, groups = args
    dims = weight.dim() - 2
    stride, padding, dilation, extra = (
        list(v) * dims if len(v) == 1 else list(v) for v in (stride, padding, dilation, output_padding)
    )
    if not transposed:
        x = wrap(x, [(p, p) for p in padding]) if any(padding) else x
        return func(x, weight, bias, stride, [0] * dims, dilation, False, extra, groups)
    spans = [d * (k - 1) + e for d, k, e in zip(dilation, weight.shape[2:], extra, strict=True)]
    reach = [span // s + 2 for span, s in zip(spans, stride, strict=True)]
    sides = [
        (n - 1) * s - 2 * p + span + 1 for n, s, p, span in zip(x.shape[-dims:], stride, padding, spans, strict=True)
    ]
    y = func(wrap(x, [(r, r) for r in reach]), weight, bias, stride, padding, dilation, True, extra, groups)
    return _crop(y, [(r * s, side) for r, s, side in zip(reach, stride, sides, strict=True)])


def _crop(x: Tensor, windows: Sequence[tuple[int, int]]) -> Tensor:
    for axis, (start, length) in enumerate(windows, start=x.dim() - len(windows)):
        x = x.narrow(axis, start, length)
    return x.contiguous()


def _constant_pad(func: Callable[..., Tensor], args: tuple[Any, ...], kwargs: dict[str, Any], axes: Axes) -> Tensor:
    """Wrap the axes that are space, and pad the others as asked: zeros between pixels are no border."""
    x, pads = args[0], _pairs(args[1])
    if min(args[1]) < 0 or x.is_complex():
        return func(*args, **kwargs)
    own = axes[x.dim() - len(pads) :]
    is_space = [len(axis) == 1 and axis[0].is_spatial for axis in own]
    x = wrap(x, [pair if space else (0, 0) for pair, space in zip(pads, is_space, strict=True)])
    rest = [(0, 0) if space else pair for pair, space in zip(pads, is_space, strict=True)]
    return func(x, [side for pair in reversed(rest) for side in pair], *args[2:], **kwargs)


def _windows(func: Callable[..., Tensor], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """Cut windows out of a map that goes on beyond its edges, where `F.unfold` would pad zeros."""
    x, size, dilation, padding, *rest = args
    return func(wrap(x, [(p, p) for p in padding]), size, dilation, [0] * len(padding), *rest, **kwargs)


def _average(func: Callable[..., Tensor], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """Average windows of a map that goes on beyond its edges; windows that reach over the padding stay as they are."""
    x, size, *rest = args
    padding = list(rest[1]) * (len(size) if len(rest[1]) == 1 else 1) if len(rest) > 1 else []
    if not any(padding) or (len(rest) > 2 and rest[2]):
        return func(*args, **kwargs)
    return func(wrap(x, [(p, p) for p in padding]), size, rest[0], [0] * len(padding), *rest[2:], **kwargs)


def _resize(func: Callable[..., Tensor], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    x, size = args[0], list(args[1])
    sides = x.shape[-len(size) :]
    corners = len(args) > 2 and args[2] is True
    if corners or any(out % n for out, n in zip(size, sides, strict=True)):
        return func(*args, **kwargs)
    scale = [out // n for out, n in zip(size, sides, strict=True)]
    larger = [(n + 2 * RESIZE_REACH) * s for n, s in zip(sides, scale, strict=True)]
    y = func(wrap(x, [(RESIZE_REACH, RESIZE_REACH)] * len(size)), larger, *args[2:], **kwargs)
    return _crop(y, [(RESIZE_REACH * s, out) for s, out in zip(scale, size, strict=True)])
