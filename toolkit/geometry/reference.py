"""The transposed convolution step by step, for reading: every parameter, no speed.

A convolution with stride s reads input s i + d t - p for output i and tap t. Its transpose sends input i to output
s i + d t - p instead. Written as an ordinary convolution, that takes four steps:

    1. put s - 1 zeros between the inputs,
    2. pad each end with d (k - 1) - p zeros, and the far end with op more (a negative number cuts),
    3. swap the kernel's input and output channels within each group, and rotate it by half a turn,
    4. convolve with stride 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any, TypeAlias

import torch
from torch import Tensor

from checkerscope.toolkit import checks
from checkerscope.toolkit.geometry.axis import Axis

#: One number for all axes, or one per axis.
PerAxis: TypeAlias = int | Sequence[int]


def transposed_convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    output_padding: PerAxis = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Tensor:
    """Return what `torch.nn.functional.conv_transpose1d`, `2d` and `3d` return, (N, C_out, *spatial).

    Args:
        x: (N, C_in, *spatial) with one to three spatial axes.
        weight: (C_in, C_out / groups, *kernel), torch's layout.
        bias: (C_out,).
        stride: Distance of the inputs in the output.
        padding: Outputs cut off at each end.
        output_padding: Outputs kept at the far end after that.
        dilation: Distance of the taps.
        groups: Channel groups.

    Raises:
        ValueError: If shapes and groups do not fit, or the size arithmetic of `toolkit.geometry.axis` refuses.

    Source: Dumoulin and Visin 2016, arXiv:1603.07285, chapter 4, with channels, groups, dilation and output padding,
    which it leaves out.

    >>> transposed_convolution(torch.ones(1, 1, 3), torch.ones(1, 1, 3), stride=2)
    tensor([[[1., 1., 2., 1., 2., 1., 1.]]])
    """
    axes = _axes(x, weight, (stride, padding, output_padding, dilation))
    _check_channels(x, weight, groups)
    for length, axis in zip(x.shape[2:], axes, strict=True):
        axis.output_size(length)
    spaced = insert_zeros(x, [axis.stride for axis in axes])
    padded = pad_ends(spaced, [_margins(axis) for axis in axes])
    y = convolve(padded, turn(weight, groups), [axis.dilation for axis in axes], groups)
    return y if bias is None else y + bias.reshape(-1, *[1] * len(axes))


def insert_zeros(x: Tensor, strides: Sequence[int]) -> Tensor:
    """Return `x` with s - 1 zeros between neighbours along each spatial axis: n becomes (n - 1) s + 1.

    >>> insert_zeros(torch.tensor([[[1.0, 2.0, 3.0]]]), [2])
    tensor([[[1., 0., 2., 0., 3.]]])
    """
    lengths = [(n - 1) * s + 1 for n, s in zip(x.shape[2:], strides, strict=True)]
    spaced = x.new_zeros(*x.shape[:2], *lengths)
    every: tuple[Any, ...] = tuple(slice(None, None, s) for s in strides)
    spaced[(..., *every)] = x
    return spaced


def pad_ends(x: Tensor, margins: Sequence[tuple[int, int]]) -> Tensor:
    """Return `x` with (near, far) zeros added to each spatial axis; negative numbers cut values off.

    >>> pad_ends(torch.tensor([[[1.0, 2.0, 3.0]]]), [(-1, 2)])
    tensor([[[2., 3., 0., 0.]]])
    """
    lengths = [n + near + far for n, (near, far) in zip(x.shape[2:], margins, strict=True)]
    padded = x.new_zeros(*x.shape[:2], *lengths)
    source: list[Any] = []
    target: list[Any] = []
    for n, length, (near, _) in zip(x.shape[2:], lengths, margins, strict=True):
        first, last = max(0, -near), min(n, length - near)  # the part of x that stays
        source.append(slice(first, max(first, last)))
        target.append(slice(first + near, max(first, last) + near))
    padded[(..., *target)] = x[(..., *source)]
    return padded


def turn(weight: Tensor, groups: int = 1) -> Tensor:
    """Return a convolution's kernel, (C_out, C_in / g, *k), from a transposed one's, (C_in, C_out / g, *k).

    Channels are swapped within their group, and the taps run backwards along every axis.
    """
    grouped = weight.unflatten(0, (groups, -1))  # g, c_in / g, c_out / g, *k
    return grouped.transpose(1, 2).flatten(0, 1).flip(tuple(range(2, weight.dim())))


def convolve(x: Tensor, weight: Tensor, dilations: Sequence[int], groups: int = 1) -> Tensor:
    """Return the convolution of stride 1 without padding, one tap after the other, (N, C_out, *spatial)."""
    kernel = weight.shape[2:]
    lengths = [n - d * (k - 1) for n, d, k in zip(x.shape[2:], dilations, kernel, strict=True)]
    inputs = x.unflatten(1, (groups, -1))  # n, g, c_in / g, *spatial
    weights = weight.unflatten(0, (groups, -1))  # g, c_out / g, c_in / g, *k
    y = x.new_zeros(x.shape[0], groups, weights.shape[1], *lengths)
    for tap in product(*map(range, kernel)):
        window = tuple(slice(d * t, d * t + m) for d, t, m in zip(dilations, tap, lengths, strict=True))
        y += torch.einsum("ngi...,goi->ngo...", inputs[(..., *window)], weights[(..., *tap)])
    return y.flatten(1, 2)


def _margins(axis: Axis) -> tuple[int, int]:
    near = axis.extent - 1 - axis.padding
    return near, near + axis.output_padding


def _axes(x: Tensor, weight: Tensor, parameters: Sequence[PerAxis]) -> list[Axis]:
    dims = x.dim() - 2
    if dims not in (1, 2, 3) or weight.dim() != x.dim():
        got = f"{tuple(x.shape)} and {tuple(weight.shape)}"
        raise checks.mismatch("input and weight", "shapes (n, c, *spatial) and (c, c_out / groups, *kernel)", got)
    per_axis = []
    for values in parameters:
        if not isinstance(values, int) and len(values) != dims:
            raise checks.mismatch("parameter", f"one number or {dims}", tuple(values))
        per_axis.append((values,) * dims if isinstance(values, int) else tuple(values))
    return [Axis(k, s, p, op, d) for k, s, p, op, d in zip(weight.shape[2:], *per_axis, strict=True)]


def _check_channels(x: Tensor, weight: Tensor, groups: int) -> None:
    if x.shape[1] % checks.integer("groups", groups):
        raise checks.mismatch("groups", f"a divisor of the {x.shape[1]} input channels", groups)
    if weight.shape[0] != x.shape[1]:
        raise checks.mismatch("weight", f"{x.shape[1]} input channels on its first axis", tuple(weight.shape))
