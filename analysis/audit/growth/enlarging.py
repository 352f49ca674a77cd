"""Deciding whether an operator call enlarges a map, by how much, and which numbers it does it with."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from checkerscope.analysis.audit.growth.axes import CHANNEL, Axes, Axis, shuffled, space
from checkerscope.analysis.audit.growth.lineage import Lineage, Source
from checkerscope.analysis.audit.growth.narrow import out_of_nothing
from checkerscope.analysis.audit.growth.operators import MOVES, OVERLAP_ADD, PRODUCTS, SCATTERS, Call
from checkerscope.analysis.audit.growth.records import Growth, Taps

#: A float scale factor is taken as the nearest fraction with at most this denominator.
MAX_DENOMINATOR = 64
GATHERS = ("index", "index_select", "gather", "take_along_dim", "_unsafe_index")
#: Operators that make an axis longer without resampling it: padding, joining and tiling are no enlargement.
KEEPING = ("cat", "repeat", "roll", "expand", "slice", "convolution", "im2col", "stack", "tile", "new_empty", "unfold")


def growth(call: Call, out: Tensor, axes: Axes | None, lineage: Lineage | None) -> Growth | None:
    """Return how a call enlarges its map; None if it does not.

    Args:
        call: The operator call.
        out: Its result.
        axes: What the axes of the result stand for.
        lineage: Of the tensor that it acts on.
    """
    if call.name == "convolution":
        return _transposed(call, out) if call.args[6] else None
    if call.name in SCATTERS:
        return _scattered(call, out, lineage)
    for prefixes, rule in _RULES:
        if call.name.startswith(prefixes):
            found = rule(call, out)
            return found if found and any(s > 1 for s in found.scale) else None
    if lineage is None or axes is None or lineage.axes is None:
        return _unfollowed(call, out, lineage)
    if call.name == OVERLAP_ADD:
        return _overlap_added(call, axes)
    if call.name in MOVES:
        return _shuffle(call, out, axes, lineage)
    return _resampled(call, out, axes, lineage)


def _aligned(call: Call, factors: Sequence[Fraction | int], out: Tensor) -> tuple[Fraction, ...]:
    """Return a factor per axis of the model, as `axes.image_of` numbers the axes of `out`, a factor per last axis."""
    dims = call.spatial_dims
    sides = out.shape[out.dim() - len(factors) :]
    if len(factors) > dims:
        factors = [f for f, side in zip(factors, sides, strict=True) if side > 1][-dims:]
    return (Fraction(1),) * (dims - len(factors)) + tuple(Fraction(f) for f in factors)


def _transposed(call: Call, out: Tensor) -> Growth | None:
    weight, stride, dilation, groups = (call.args[i] for i in (1, 3, 5, 8))
    dims = weight.dim() - 2
    stride, dilation = (tuple(v) * dims if len(v) == 1 else tuple(v) for v in (stride, dilation))
    if max(stride) == 1:
        return None
    taps = Taps(weight.detach(), stride, dilation, groups=groups)
    return Growth("transposed convolution", _aligned(call, stride, out), taps=taps)


def _interpolated(call: Call, out: Tensor) -> Growth | None:
    x, size = call.args[0], list(call.args[1])
    sides = x.shape[-len(size) :]
    if all(n == 1 for n in sides):
        return None  # one value spread over a map: nothing to make a grid of
    asked = [a for a in call.args[2:] if isinstance(a, float)]
    factors = [Fraction(o, n) for o, n in zip(size, sides, strict=True)]
    if len(asked) == len(size):
        factors = [Fraction(a).limit_denominator(MAX_DENOMINATOR) for a in asked]
    factors = [Fraction(1) if n == 1 else f for f, n in zip(factors, sides, strict=True)]  # a value spread, no grid
    corners = len(call.args) > 2 and call.args[2] is True
    mode = call.name.strip("_").removeprefix("upsample_").rstrip("123d_a").replace("_exact", "-exact")
    name = {"bilinear": "linear", "trilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
    scale = _aligned(call, factors, out)
    note = "align_corners makes the phases drift across the map" if corners else ""
    return Growth(f"interpolation ({name})", scale, drifts=corners or _is_uneven(scale), note=note)


def _is_uneven(scale: tuple[Fraction, ...]) -> bool:
    return any(s.denominator > 1 and s > 1 for s in scale)


def _pixel_shuffle(call: Call, out: Tensor) -> Growth:
    r = int(call.args[1])
    source = call.first.source if call.first else None
    order = torch.arange(call.args[0].shape[-3]).reshape(-1, r * r)
    return Growth("sub-pixel shuffle", _aligned(call, (r, r), out), taps=_ordered(source, order, (r, r)))


def _sampled(call: Call, out: Tensor) -> Growth:
    dims = out.dim() - 2
    sides = zip(out.shape[2:], call.args[0].shape[2:], strict=True)
    scale = _aligned(call, [Fraction(o, n) for o, n in sides][-dims:], out)
    corners = bool(call.args[4]) if len(call.args) > 4 else False
    return Growth("grid_sample", scale, drifts=corners or _is_uneven(scale))


def _folded(call: Call, out: Tensor) -> Growth:
    return Growth("fold", _aligned(call, tuple(call.args[5]), out))


def _unpooled(call: Call, out: Tensor) -> Growth:
    # torch runs the 1-D layer as 2-D with a last axis of one
    factors = [Fraction(o, n) for o, n in zip(out.shape[2:], call.args[0].shape[2:], strict=True)]
    return Growth("max-unpooling", _aligned(call, factors, out))


def _overlap_added(call: Call, axes: Axes) -> Growth | None:
    """Find frames that are added up every `step` positions, as torch.istft does."""
    position, step = int(call.args[2]), int(call.args[4])
    axis = axes[position]
    if step == 1 or len(axis) != 1 or not isinstance(axis[0].role, int):
        return None
    scale = [Fraction(1)] * call.spatial_dims
    scale[axis[0].role] = Fraction(step)
    return Growth("overlap-add", tuple(scale))


def _scattered(call: Call, out: Tensor, lineage: Lineage | None) -> Growth | None:
    """Find values written to places of a larger map with gaps between them; a part in one piece is only pasted."""
    dims = call.spatial_dims
    if lineage is None or len(lineage.grid) != dims or out.dim() != dims + 2:
        return None
    pairs = list(zip(out.shape[2:], lineage.grid, strict=True))
    if any(n <= 1 or o % n for o, n in pairs):
        return None
    blocks = []
    for axis, (o, n) in enumerate(pairs, start=2):
        filled = out.movedim(axis, 0).flatten(1).any(1).nonzero().flatten()
        if o > n and len(filled) > 1 and int(filled[-1] - filled[0]) >= len(filled):
            blocks.append((axis, o // n))
    factors = dict(blocks)
    scale = tuple(Fraction(factors.get(axis, 1)) for axis in range(2, dims + 2))
    return Growth("scatter", scale, tuple(blocks)) if blocks else None


def _averaged(call: Call, out: Tensor) -> Growth | None:
    dims = len(call.args[1])
    pairs = list(zip(out.shape[-dims:], call.args[0].shape[-dims:], strict=True))
    if all(n == 1 for _, n in pairs):
        return None
    scale = _aligned(call, [Fraction(o, n) for o, n in pairs], out)
    return Growth("interpolation (area)", scale, drifts=_is_uneven(scale))


_RULES: tuple[tuple[tuple[str, ...], Any], ...] = (
    (("upsample_", "_upsample_"), _interpolated),
    (("pixel_shuffle",), _pixel_shuffle),
    (("grid_sampler",), _sampled),
    (("col2im",), _folded),
    (("max_unpool",), _unpooled),
    (("_adaptive_avg_pool", "adaptive_avg_pool"), _averaged),
)


def _shuffle(call: Call, out: Tensor, axes: Axes, lineage: Lineage) -> Growth | None:
    """Find channels moved into space by a reshape, where the result is a map again (or the model's signal)."""
    found = shuffled(axes)
    if not found or not _is_map(axes, out, call.spatial_dims):
        return out_of_nothing(call, axes, lineage)
    blocks = tuple((position, _product(fast)) for position, fast in found.items())
    factors = dict(blocks)
    positions = sorted({*found, *space(axes)})
    scale = (Fraction(1),) * (call.spatial_dims - len(positions)) + tuple(
        Fraction(factors.get(p, 1)) for p in positions[-call.spatial_dims :]
    )
    order = _channel_order(axes, found)
    strides = tuple(factor for _, factor in blocks)
    source = lineage.source
    taps = None if order is None else _ordered(source, order, strides)
    return Growth("shuffle by reshape", scale, blocks, taps, note=_order_note(axes, found))


def _is_map(axes: Axes, out: Tensor, dims: int) -> bool:
    spatial = sum(bool(axis) and axis[0].is_spatial for axis in axes)
    return spatial >= 1 and (
        spatial == out.dim() - 2 or (dims == 1 and out.dim() == 3) or spatial == dims == out.dim() - 1
    )


def _product(axis: Axis) -> int:
    size = 1
    for atom in axis:
        size *= atom.size
    return size


def _channel_order(axes: Axes, found: dict[int, Axis]) -> Tensor | None:
    """Return which channel of the layer before feeds output channel (row) and phase (column)."""
    rest = [atom for i, axis in enumerate(axes) if i not in found for atom in axis if atom.role == "c"]
    fast = [atom for axis in found.values() for atom in axis]
    index = torch.zeros(1, dtype=torch.int64)
    for atom in (*rest, *fast):
        index = index[..., None] + torch.arange(atom.size) * atom.stride
    phases = 1
    for atom in fast:
        phases *= atom.size
    index = index.reshape(-1, phases)
    return index if len(index.unique()) == index.numel() else None


def _order_note(axes: Axes, found: dict[int, Axis]) -> str:
    """Return how the channels are ordered where torch's PixelShuffle has them otherwise: (c h w), slowest first."""
    strides = [max(atom.stride for atom in fast) for fast in found.values()]
    rest = [atom.stride for i, axis in enumerate(axes) if i not in found for atom in axis if atom.role == CHANNEL]
    notes = []
    if rest and min(strides) > max(rest):
        notes.append("sub-pixels slowest, order DCR as of TensorFlow's depth_to_space; torch's PixelShuffle has CRD")
    if len(strides) > 1 and strides == sorted(strides) and len(set(strides)) == len(strides):
        notes.append(
            "sub-pixels in the order (w h); torch's PixelShuffle has (h w): check it against the training code"
        )
    return "; ".join(notes)


def _ordered(source: Source | None, order: Tensor, strides: tuple[int, ...]) -> Taps | None:
    if source is None or len(source.weight) != order.numel():
        return None
    return Taps(source.weight, strides, order=order, groups=source.groups)


def _resampled(call: Call, out: Tensor, axes: Axes, lineage: Lineage) -> Growth | None:
    """Find an axis that a gather, a matrix product, a transform or an unknown operator made longer."""
    if call.name in KEEPING or "_pad" in call.name or out.is_complex():
        return None
    scale = [Fraction(1)] * call.spatial_dims
    for axis in axes:
        if len(axis) == 1 and isinstance(axis[0].role, int):
            before = lineage.grid[axis[0].role] if axis[0].role < len(lineage.grid) else 0
            if before > 1 and axis[0].size > before:
                scale[axis[0].role] = Fraction(axis[0].size, before)
    if all(s == 1 for s in scale):
        return None
    known = call.name in (*GATHERS, *PRODUCTS) or call.name.startswith("_fft")
    if not known and any(s.denominator > 1 for s in scale):
        return None
    kind = "gather" if call.name in GATHERS else "matrix product" if call.name in PRODUCTS else f"operator {call.name}"
    is_spectrum = any(t.is_complex() for t, _ in call.inputs)  # its rows were moved about before it came back
    kind = "Fourier transform" if call.name.startswith("_fft") or is_spectrum else kind
    return Growth(kind, tuple(scale), drifts=_is_uneven(tuple(scale)))


def _unfollowed(call: Call, out: Tensor, lineage: Lineage | None) -> Growth | None:
    """Where the axes were lost, a reshape into a map that is whole times as large still counts."""
    if lineage is None or not lineage.grid or call.name not in MOVES or out.dim() != call.spatial_dims + 2:
        return None
    pairs = list(zip(out.shape[2:], lineage.grid, strict=True))
    if any(n <= 1 or o % n for o, n in pairs) or all(o == n for o, n in pairs):
        return None
    blocks = tuple((i + 2, o // n) for i, (o, n) in enumerate(pairs) if o > n)
    return Growth("shuffle by reshape", tuple(Fraction(o, n) for o, n in pairs), blocks)
