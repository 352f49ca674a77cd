"""One form for all learned enlargements: a transposed kernel with its position, and the layers that have it.

Tap a of a `Taps` adds x[m] to output s m + start + a, per axis. A transposed convolution with padding P has start -P;
a sub-pixel convolution and a nearest resize followed by a convolution have such a kernel too.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from checkerscope.toolkit import checks, filters, response
from checkerscope.toolkit.contracts.upsampler import convolution, transposed_convolution
from checkerscope.toolkit.remedies._layers import PhaseAffine, shuffle_module
from checkerscope.toolkit.remedies._site import SUB_PIXEL, TRANSPOSED, Site


@dataclass(frozen=True)
class Taps:
    """A transposed kernel.

    Attributes:
        weight: (C_in, C_out / groups, *k), float64.
        start: Output position of tap 0 relative to s m, per axis.
        strides: Factor per axis.
        excess: Output length less s times the input's, per axis.
        groups: Channel groups.
        bias: (C_out, *strides) or (C_out, 1, ..., 1), float64: what a zero input gives, per phase or the same for all.
        dtype: Of the layer that it was read from.
    """

    weight: Tensor
    start: tuple[int, ...]
    strides: tuple[int, ...]
    excess: tuple[int, ...]
    groups: int
    bias: Tensor
    dtype: torch.dtype

    @property
    def dims(self) -> int:
        """Spatial axes."""
        return len(self.strides)

    @property
    def has_one_bias(self) -> bool:
        """Whether the bias is the same for all phases."""
        flat = self.bias.flatten(1)
        return bool((flat == flat[:, :1]).all())


def read(site: Site, name: str) -> Taps:
    """Return the taps of a site.

    Raises:
        ValueError: If the layer has an option with which it has no such kernel.
    """
    where = f"{name}: {site.path or site.kind}"
    if site.conv is None:
        return _measured(site)
    if getattr(site.conv, "padding_mode", "zeros") != "zeros" or isinstance(site.conv.padding, str):
        raise checks.mismatch(where, "zero padding given as numbers", f"{site.conv.padding_mode} {site.conv.padding}")
    with torch.no_grad():
        if site.kind == TRANSPOSED:
            return _of_transposed(site.conv)
        if max(site.conv.stride) > 1 or any(p > r for p, r in zip(site.conv.padding, _reach(site.conv), strict=True)):
            raise checks.mismatch(where, "a convolution of stride 1 padded by less than its kernel", str(site.conv))
        return _of_sub_pixel(site) if site.kind == SUB_PIXEL else _of_resize(site)


def _reach(conv: Any) -> list[int]:
    return [d * (k - 1) for k, d in zip(conv.kernel_size, conv.dilation, strict=True)]


def _dense(weight: Tensor, dilation: Sequence[int]) -> Tensor:
    """Return the kernel with its dilation written as zeros, float64."""
    sizes = [d * (k - 1) + 1 for k, d in zip(weight.shape[2:], dilation, strict=True)]
    dense = weight.new_zeros(*weight.shape[:2], *sizes, dtype=torch.float64)
    dense[(slice(None), slice(None), *(slice(None, None, d) for d in dilation))] = weight.double()
    return dense


def _bias(conv: Any, channels: int, shape: Sequence[int]) -> Tensor:
    values = torch.zeros(channels * prod(shape)) if conv.bias is None else conv.bias.detach()
    return values.double().reshape(channels, *shape)


def _of_transposed(conv: Any) -> Taps:
    weight = _dense(conv.weight, conv.dilation)
    sizes = zip(weight.shape[2:], conv.padding, conv.output_padding, conv.stride, strict=True)
    excess = tuple(k - 2 * p + extra - s for k, p, extra, s in sizes)
    bias = _bias(conv, conv.out_channels, (1,) * len(conv.stride))
    start = tuple(-p for p in conv.padding)
    return Taps(weight, start, tuple(conv.stride), excess, conv.groups, bias, conv.weight.dtype)


def _of_sub_pixel(site: Site) -> Taps:
    conv, s = site.conv, site.strides
    kernel = _dense(conv.weight, conv.dilation)  # (C_out P, C_in / g, *k)
    groups, channels, sizes = conv.groups, conv.out_channels // prod(s), kernel.shape[2:]
    # (g, C_out / g, *s, C_in / g, *k): tap n of phase i stands at i + s (k - 1 - n)
    split = kernel.reshape(groups, channels // groups, *s, kernel.shape[1], *sizes).flip(tuple(range(-len(s), 0)))
    dims = len(s)
    order = [0, 2 + dims, 1, *(axis for d in range(dims) for axis in (3 + dims + d, 2 + d))]
    weight = split.permute(order).reshape(
        conv.in_channels, channels // groups, *(k * f for k, f in zip(sizes, s, strict=True))
    )
    start = tuple(-f * (k - 1 - p) for k, f, p in zip(sizes, s, conv.padding, strict=True))
    excess = tuple(f * (2 * p - k + 1) for k, f, p in zip(sizes, s, conv.padding, strict=True))
    return Taps(weight, start, s, excess, groups, _bias(conv, channels, s), conv.weight.dtype)


def _of_resize(site: Site) -> Taps:
    conv, s = site.conv, site.strides
    kernel = _dense(conv.weight, conv.dilation)
    groups, sizes = conv.groups, kernel.shape[2:]
    weight = kernel.reshape(groups, conv.out_channels // groups, *kernel.shape[1:]).transpose(1, 2).flatten(0, 1)
    for axis, (k, factor) in enumerate(zip(sizes, s, strict=True), start=2):
        box = filters.convolution_matrix(filters.box(factor), k).flip(1)
        weight = (weight.transpose(axis, -1) @ box.T).transpose(axis, -1)
    start = tuple(p - k + 1 for k, p in zip(sizes, conv.padding, strict=True))
    excess = tuple(2 * p - k + 1 for k, p in zip(sizes, conv.padding, strict=True))
    bias = _bias(conv, conv.out_channels, (1,) * len(s))
    return Taps(weight, start, s, excess, groups, bias, conv.weight.dtype)


def _measured(site: Site) -> Taps:
    """Return the taps of another upsampler of ours, found by impulses; equal away from the border."""
    conv: Any = response.to_transposed_conv(site.module)
    with torch.no_grad():
        return replace(_of_transposed(conv), dtype=next(site.module.parameters()).dtype)


def to_transposed(taps: Taps) -> nn.Module:
    """Return a transposed convolution with these taps, and a layer of phase offsets where the bias needs one."""
    weight, padding, extra = taps.weight, [], []
    for axis, (start, s, excess) in enumerate(zip(taps.start, taps.strides, taps.excess, strict=True)):
        k = weight.shape[2 + axis]
        front = max(0, start, k + 2 * start - s - excess)  # torch wants padding >= 0 and 0 <= output_padding < stride
        crop = front - start
        missing = s + excess - (k + front) + 2 * crop
        behind = max(0, missing - s + 1)
        weight = _padded(weight, axis, front, behind)
        padding.append(crop)
        extra.append(missing - behind)
    conv: Any = nn.utils.skip_init(
        transposed_convolution(taps.dims),
        *(weight.shape[0], weight.shape[1] * taps.groups, tuple(weight.shape[2:]), taps.strides),
        padding=tuple(padding),
        output_padding=tuple(extra),
        groups=taps.groups,
        bias=bool(taps.has_one_bias and taps.bias.any()),
        dtype=taps.dtype,
    )
    return _filled(conv, weight, taps)


def to_sub_pixel(taps: Taps) -> nn.Module:
    """Return a convolution and a pixel shuffle with these taps.

    Raises:
        ValueError: If the strides differ between the axes, or the output is not exactly s times the input.
    """
    _check_size(taps)
    if len(set(taps.strides)) > 1:
        raise checks.mismatch("sub-pixel convolution", "equal strides on all axes", taps.strides)
    s, sizes = taps.strides[0], taps.weight.shape[2:]
    # output s h + i takes x[h + shift] with tap a - start where a = i - s shift
    places = [
        [((a + start) % s, -((a + start) // s)) for a in range(k)] for k, start in zip(sizes, taps.start, strict=True)
    ]
    reach = [max(abs(shift) for _, shift in axis) for axis in places]
    per_group = taps.weight.unflatten(0, (taps.groups, -1)).transpose(1, 2).flatten(0, 1)  # (C_out, C_in / g, *k)
    kernel = per_group.new_zeros(per_group.shape[0], *taps.strides, per_group.shape[1], *(2 * r + 1 for r in reach))
    for tap in itertools.product(*(range(k) for k in sizes)):
        phase, shift = zip(*(axis[a] for axis, a in zip(places, tap, strict=True)), strict=True)
        index = (slice(None), *phase, slice(None), *(n + r for n, r in zip(shift, reach, strict=True)))
        kernel[index] = per_group[(slice(None), slice(None), *tap)]
    conv: Any = nn.utils.skip_init(
        convolution(taps.dims),
        *(taps.weight.shape[0], kernel.shape[0] * s**taps.dims, tuple(kernel.shape[2 + taps.dims :])),
        padding=tuple(reach),
        groups=taps.groups,
        bias=bool(taps.bias.any()),
        dtype=taps.dtype,
    )
    with torch.no_grad():
        conv.weight.copy_(kernel.flatten(0, taps.dims))
        if conv.bias is not None:
            conv.bias.copy_(taps.bias.expand(-1, *taps.strides).flatten())
    return nn.Sequential(conv, shuffle_module(s, taps.dims))


def _check_size(taps: Taps) -> None:
    if any(taps.excess):
        got = f"{taps.excess} pixels more"
        raise checks.mismatch("layer", "an output of exactly stride times the input", got, "change its padding")


def to_resize(taps: Taps, kernel_size: int | None = None) -> tuple[nn.Module, float]:
    """Return a nearest resize and a convolution whose merged kernel is nearest, and the relative error of it.

    The kernel h minimises |box * h - w|^2 over all taps, axis by axis by the pseudo-inverse, in float64; the error is
    the square root of the rest over |w|^2. The bias is the mean over phases.

    Args:
        taps: What it should do.
        kernel_size: Odd number of taps per axis; None for the smallest that reaches every tap.

    Raises:
        ValueError: If the output is not exactly s times the input.
    """
    _check_size(taps)
    weight, reach = taps.weight, []
    for axis, (start, s) in enumerate(zip(taps.start, taps.strides, strict=True)):
        k = weight.shape[2 + axis]
        r = max(-start, start + k - s, 0) if kernel_size is None else checks.odd("kernel_size", kernel_size) // 2
        left, right = max(0, start + r), max(0, s + r - start - k)
        weight = _padded(weight, axis, left, right)  # now from -max(r, -start) to the end of both
        box = filters.convolution_matrix(filters.box(s), 2 * r + 1)
        rows = nn.functional.pad(box.T, (max(0, -start - r), weight.shape[2 + axis] - len(box) - max(0, -start - r))).T
        weight = (weight.transpose(2 + axis, -1) @ torch.linalg.pinv(rows).T).transpose(2 + axis, -1)
        reach.append(r)
    error = _misfit(taps, weight, reach)
    conv: Any = nn.utils.skip_init(
        convolution(taps.dims),
        *(weight.shape[0], weight.shape[1] * taps.groups, tuple(weight.shape[2:])),
        padding=tuple(reach),
        groups=taps.groups,
        bias=bool(taps.bias.any()),
        dtype=taps.dtype,
    )
    # torch's convolution is a correlation
    correlated = (
        weight.flip(tuple(range(2, weight.dim()))).unflatten(0, (taps.groups, -1)).transpose(1, 2).flatten(0, 1)
    )
    with torch.no_grad():
        conv.weight.copy_(correlated)
        if conv.bias is not None:
            conv.bias.copy_(taps.bias.flatten(1).mean(1))
    factor = taps.strides if len(set(taps.strides)) > 1 else taps.strides[0]
    return nn.Sequential(nn.Upsample(scale_factor=factor, mode="nearest"), conv), error


def _misfit(taps: Taps, kernel: Tensor, reach: Sequence[int]) -> float:
    """Return the distance of box * kernel from the taps, relative to the taps' norm."""
    merged = kernel
    for axis, s in enumerate(taps.strides, start=2):
        box = filters.convolution_matrix(filters.box(s), kernel.shape[axis])
        merged = (merged.transpose(axis, -1) @ box.T).transpose(axis, -1)
    wanted = taps.weight
    for axis, (start, r) in enumerate(zip(taps.start, reach, strict=True)):
        first = min(start, -r)
        end = max(start + wanted.shape[2 + axis], merged.shape[2 + axis] - r)
        merged = _padded(merged, axis, -r - first, end - (merged.shape[2 + axis] - r))
        wanted = _padded(wanted, axis, start - first, end - (start + wanted.shape[2 + axis]))
    return float((merged - wanted).norm() / wanted.norm().clamp_min(1e-300))


def _padded(weight: Tensor, axis: int, front: int, behind: int) -> Tensor:
    pads = [0, 0] * (weight.dim() - 3 - axis) + [front, behind]
    return nn.functional.pad(weight, pads)


def _filled(conv: Any, weight: Tensor, taps: Taps) -> nn.Module:
    with torch.no_grad():
        conv.weight.copy_(weight)
        if conv.bias is not None:
            conv.bias.copy_(taps.bias.flatten(1)[:, 0])
    if taps.has_one_bias:
        return conv
    offset = taps.bias.to(taps.dtype)
    return nn.Sequential(conv, PhaseAffine(torch.ones_like(offset), offset))


def from_site(site: Site, name: str, make: Any) -> nn.Module:
    """Return `make(taps)` on the site's device."""
    try:
        module: nn.Module = make(read(site, name))
    except ValueError as error:
        text = str(error)
        raise ValueError(text if text.startswith(name) else f"{name}: {site.path or site.kind}: {text}") from None
    return module.to(next(site.module.parameters()).device)
