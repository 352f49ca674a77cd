"""Kernels that start as an interpolation by their own strides, in every layout."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from checkerscope.toolkit import checks
from checkerscope.toolkit.contracts.upsampler import Layout


def channel_means(outputs: int, inputs: int) -> Tensor:
    """Return (outputs, inputs) weights that pass channels on, rows summing to one.

    The identity where the numbers agree. Where they differ, output o is the mean of the inputs that are congruent to
    o: no input is lost, and no output starts at zero, where ReLU would keep it for good.

    >>> channel_means(2, 3)
    tensor([[0.5000, 0.0000, 0.5000],
            [0.0000, 1.0000, 0.0000]], dtype=torch.float64)
    """
    fewer = min(outputs, inputs)
    same = torch.arange(outputs)[:, None] % fewer == torch.arange(inputs) % fewer
    return same.double() / same.sum(1, keepdim=True)


def write(kernel: Tensor, layout: Layout, axes: list[Tensor], channels: Tensor) -> None:
    """Write the outer product of `axes` times `channels` into `kernel`.

    Args:
        kernel: Weights in the given layout.
        layout: Their layout.
        axes: Taps of every spatial axis: those of a filter h at the layout's stride s whose middle is the middle of
            the s output pixels of its cell, so as many taps as s plus an even number, or a single one, which falls
            on the first pixel of the cell.
        channels: (C_out / g, C_in / g), the same for all groups.

    Raises:
        ValueError: If an axis of the kernel is too short for its taps, or the taps are dilated.
    """
    if layout.dilation != 1 and prod(kernel.shape[2:]) > 1:
        raise checks.mismatch("kernel", "dilation 1", layout.dilation, "an interpolation has no gaps")
    placed = [
        _place(taps, k, s, layout.kind) for taps, k, s in zip(axes, kernel.shape[2:], layout.strides, strict=True)
    ]
    spatial = placed[0]  # phases of all axes, then taps of all axes; one phase but for a sub-pixel kernel
    for axis in placed[1:]:
        spatial = torch.einsum("p...,qk->pq...k", spatial, axis).flatten(0, 1)
    if layout.kind == "transposed":
        block = channels.T.reshape(*channels.T.shape, *(1,) * len(axes)) * spatial[0]
    else:
        block = channels[:, None].reshape(channels.shape[0], 1, -1, *(1,) * len(axes)) * spatial[:, None]
        block = block.flatten(0, 1)
    kernel.copy_(block.repeat(layout.groups, *(1,) * (block.dim() - 1)))


def block_channels(kernel: Tensor, layout: Layout) -> tuple[int, int]:
    """Return (C_out / g, C_in / g) of a kernel."""
    if layout.kind == "transposed":
        return kernel.shape[1], kernel.shape[0] // layout.groups
    phases = prod(layout.strides) if layout.kind == "sub_pixel" else 1
    return kernel.shape[0] // phases // layout.groups, kernel.shape[1]


def _place(taps: Tensor, size: int, stride: int, kind: str) -> Tensor:
    """Return (phases, size): where the taps h stand on one axis of a kernel."""
    start = -((len(taps) - stride) // 2) if len(taps) > 1 else 0  # output pixel of the first tap, in its cell
    last = start + len(taps) - 1
    if kind == "sub_pixel":
        reach = max(-(start // stride), last // stride)
        _need(2 * reach + 1, size, stride)
        # phase p of cell c sums W_p[i] x[c - size // 2 + i], so i = size // 2 - m holds h[s m + p]
        cells = size // 2 - torch.arange(size)
        index = stride * cells + torch.arange(stride)[:, None] - start
    else:
        # output pixel s c + j takes tap j + padding of a transposed kernel, padding as `exact_padding` has it
        padding = max(0, -((stride - size) // 2)) if kind == "transposed" else size // 2
        _need(len(taps), size, stride)
        index = (torch.arange(size) - padding - start)[None]
    inside = (index >= 0) & (index < len(taps))
    return torch.where(inside, taps[index.clamp(0, len(taps) - 1)], torch.zeros((), dtype=taps.dtype))


def _need(least: int, size: int, stride: int) -> None:
    if size < least:
        raise checks.mismatch(
            "kernel", f"at least {least} taps at stride {stride}", size, f"use kernel_size={least} or more"
        )
