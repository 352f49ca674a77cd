"""Overlap: how many kernel taps reach every output of transposed convolutions, and every input on the way back.

The counts are what transposed convolutions of ones with kernels of ones give. Uneven counts imprint a grid where the
weights have a mean, and unequal variance over the phases under noise. Even counts promise no clean output: with
independent zero-mean weights the grid's share of a constant's response is 1 - 1 / s^2 whatever the overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from math import inf

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from checkerscope.toolkit import checks
from checkerscope.toolkit.geometry.axis import Axis, convolution_size

Counts = NDArray[np.int64]


def phase_counts(layers: Sequence[Axis], *, gradient: bool = False) -> Counts:
    """Return the paths from inputs to each output of the interior, one period of the product of strides, int64.

    Args:
        layers: In the order in which they run; padding does not matter, since no border is in sight.
        gradient: Take the layers as strided convolutions, and count the paths that the gradient takes to each input.

    Raises:
        ValueError: If there is no layer.

    Source: Odena, Dumoulin and Olah 2016, distill.pub/2016/deconv-checkerboard; the oracles are in the tests.

    >>> phase_counts([Axis(3, 2)]).tolist(), phase_counts([Axis(3, 2), Axis(4, 2)]).tolist()
    ([2, 1], [3, 3, 3, 3])
    """
    _refuse_none(layers)
    # the gradient of a convolution is a transposed convolution, and those run in the opposite order
    return reduce(_next_period, reversed(layers) if gradient else layers, np.ones(1, dtype=np.int64))


def _refuse_none(layers: Sequence[Axis]) -> None:
    if not layers:
        raise checks.mismatch("layers", "at least one (kernel_size, stride)", "none")


def _next_period(period: Counts, axis: Axis) -> Counts:
    # output j gets tap t from input (j - d t) / s wherever that is whole
    start = np.arange(len(period) * axis.stride)[:, None] - axis.dilation * np.arange(axis.kernel_size)
    return np.where(start % axis.stride == 0, period[start // axis.stride % len(period)], 0).sum(axis=1)


def line_counts(layers: Sequence[Axis], length: int, *, gradient: bool = False) -> Counts:
    """Return the paths to each output of a line of `length` inputs, borders included, int64.

    Args:
        layers: In the order in which they run.
        length: Inputs of the first layer.
        gradient: Take the layers as strided convolutions, and count the paths back to each of the `length` inputs;
            their output padding does not matter.

    Raises:
        ValueError: If there is no layer, or a layer has no output.

    >>> line_counts([Axis(3, 2)], 3).tolist()
    [1, 1, 2, 1, 2, 1, 1]
    """
    _refuse_none(layers)
    lengths = [checks.integer("length", length)]
    for axis in layers:
        lengths.append(_convolved(axis, lengths[-1]) if gradient else axis.output_size(lengths[-1]))
    counts = np.ones(lengths[-1] if gradient else length, dtype=np.int64)
    sizes = lengths[-2::-1] if gradient else lengths[1:]
    for axis, size in zip(reversed(layers) if gradient else layers, sizes, strict=True):
        counts = _next_line(counts, axis, size)
    return counts


def _convolved(axis: Axis, length: int) -> int:
    return convolution_size(length, axis.kernel_size, stride=axis.stride, padding=axis.padding, dilation=axis.dilation)


def _next_line(counts: Counts, axis: Axis, size: int) -> Counts:
    reached = np.zeros(axis.padding + max(size, len(counts) * axis.stride + axis.extent), dtype=np.int64)
    for tap in range(axis.kernel_size):
        start = axis.dilation * tap
        reached[start : start + len(counts) * axis.stride : axis.stride] += counts
    return reached[axis.padding : axis.padding + size]


def spread(line: Counts, spatial_dims: int = 2) -> Counts:
    """Return the counts on a square or cube: the product of those of its axes, (n,) * spatial_dims.

    >>> spread(np.array([2, 1])).tolist()
    [[4, 2], [2, 1]]
    """
    checks.integer("spatial_dims", spatial_dims)
    return reduce(np.multiply.outer, [line] * spatial_dims)


def ratio(counts: Counts) -> float:
    """Return the largest over the smallest count; inf where some place is not reached at all.

    >>> ratio(spread(phase_counts([Axis(3, 2), Axis(3, 2)])))
    9.0
    """
    least = counts.min()
    return float(counts.max() / least) if least else inf


def gradient_map(module: nn.Module, example: Tensor) -> Tensor:
    """Return the gradient of the sum of a module's outputs with respect to its input, of the input's shape.

    For a convolution of ones this is `line_counts(..., gradient=True)`; it also serves layers whose paths depend on
    the input (max-pooling) and whole networks.

    >>> gradient_map(nn.MaxPool1d(2), torch.tensor([[[3.0, 1.0, 0.0, 2.0]]]))
    tensor([[[1., 0., 0., 1.]]])
    """
    with torch.enable_grad():
        x = example.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(module(x).sum(), x)
    return gradient


SHADES = " .:-=+*#%@"


def drawing(counts: Counts) -> str:
    """Return counts as plain text: bars over a line, shades over an area with the count of each shade below.

    >>> print(drawing(line_counts([Axis(3, 2)], 3)))
    2 |  # #
    1 |#######
      +-------

    Raises:
        ValueError: If the counts have more than two axes.
    """
    if counts.ndim == 1:
        return _bars(counts)
    if counts.ndim != 2:
        raise checks.mismatch("drawing", "counts with one or two axes", f"{counts.ndim}", "draw one slice")
    levels = np.unique(counts)
    steps = np.linspace(0 if levels[0] == 0 else 1, len(SHADES) - 1, len(levels)).round().astype(int)
    shades = [SHADES[step] for step in steps]
    rows = ["".join(2 * shades[int(i)] for i in row) for row in np.searchsorted(levels, counts)]
    legend = "   ".join(f"'{shade}' {level}" for shade, level in zip(shades, levels, strict=True))
    return "\n".join([*(row.rstrip() for row in rows), legend])


def _bars(counts: Counts, most: int = 12) -> str:
    levels = np.unique(np.append(counts[counts > 0], counts.max()))[-most:]
    width = len(str(levels[-1]))
    lines = [
        f"{level:>{width}} |" + "".join("#" if count >= level else " " for count in counts).rstrip()
        for level in reversed(levels)
    ]
    return "\n".join([*lines, " " * width + " +" + "-" * len(counts)])
