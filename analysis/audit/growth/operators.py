"""What torch's operators do to axes and to resolution: one rule per family, by operator name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from torch import Tensor

from checkerscope.analysis.audit.growth.axes import (
    CHANNEL,
    MIXED,
    Axes,
    Axis,
    broadcast,
    image_of,
    regroup,
    resized,
    single,
)
from checkerscope.analysis.audit.growth.lineage import Lineage

VIEWS = ("view", "_unsafe_view", "_reshape_alias", "reshape")
SQUEEZES = ("squeeze",)
REMOVALS = ("select", "unbind")
PRODUCTS = ("mm", "bmm", "addmm", "baddbmm", "matmul", "linear")
REDUCTIONS = ("mean", "sum", "amax", "amin", "prod", "var", "std", "var_mean", "std_mean", "logsumexp")
#: Operators that write values to places of a larger tensor.
SCATTERS = ("index_put", "_index_put_impl_", "index_copy", "index_add", "scatter", "scatter_add", "masked_scatter")
#: What `torch.istft` adds its frames up with.
OVERLAP_ADD = "unfold_backward"
#: Operators whose input is a map (N, C, *spatial) whatever it was before.
ON_MAPS = (
    "convolution",
    "pixel_shuffle",
    "pixel_unshuffle",
    "grid_sampler",
    "native_group_norm",
    "native_batch_norm",
    "col2im",
    "max_unpool",
    "upsample_",
    "_upsample_",
    "max_pool",
    "avg_pool",
    "_adaptive_avg_pool",
    "adaptive_",
)
#: Operators that only move numbers: the layer that computed the channels stays known.
MOVES = (
    *VIEWS,
    *SQUEEZES,
    *REMOVALS,
    "permute",
    "transpose",
    "t",
    "unsqueeze",
    "clone",
    "alias",
    "detach",
    "contiguous",
)


@dataclass(frozen=True)
class Call:
    """One operator call.

    Attributes:
        name: The operator, without namespace and overload.
        args: Its arguments.
        inputs: Its tensor arguments that the model's input has reached, with their lineage, in order.
        spatial_dims: Number of spatial axes of the model.
    """

    name: str
    args: tuple[Any, ...]
    inputs: list[tuple[Tensor, Lineage]]
    spatial_dims: int

    @property
    def first(self) -> Lineage | None:
        """Lineage of the tensor that the call acts on."""
        return self.inputs[0][1] if self.inputs else None

    @property
    def main(self) -> Lineage | None:
        """Lineage of the input with the highest resolution; a pooled or broadcast one says little."""
        return max((lineage for _, lineage in self.inputs), key=lambda one: one.area, default=None)

    @property
    def can_start(self) -> bool:
        """Whether the call may enlarge something that the input never reached, such as a learned constant."""
        is_resize = self.name.startswith(("upsample_", "_upsample_", "pixel_shuffle"))
        return is_resize or (self.name == "convolution" and bool(self.args[6]))

    def is_one_of(self, names: Sequence[str]) -> bool:
        """Return whether the operator is one of `names`, or begins with one that ends in an underscore."""
        return any(self.name == n or (n in ON_MAPS and self.name.startswith(n)) for n in names)


def axes_after(call: Call, out: Tensor) -> Axes | None:
    """Return what the axes of a result stand for; None where no rule tells."""
    shape = tuple(out.shape)
    if call.is_one_of(ON_MAPS) and len(shape) >= 3:
        return _map_axes(call, shape)
    x, lineage = call.inputs[0]
    if call.name in PRODUCTS:
        return _product_axes(call, shape)
    if call.name in SCATTERS:
        return image_of(shape, call.spatial_dims) if len(shape) >= 3 else None
    if lineage.axes is None:
        return None
    if call.name == OVERLAP_ADD:
        position = int(call.args[2])
        return (
            *lineage.axes[:position],
            resized(lineage.axes[position], shape[position]),
            *lineage.axes[position + 1 : -1],
        )
    if call.name in VIEWS:
        return regroup(lineage.axes, shape)
    if call.name == "embedding":
        return (*lineage.axes, single(CHANNEL, shape[-1]))
    moved = _moved(call, x, lineage.axes)
    if moved is not None:
        return moved if len(moved) == len(shape) else None
    known = [(i.axes, tuple(t.shape)) for t, i in call.inputs if i.axes is not None and t.dim() <= len(shape)]
    return broadcast(known, shape) if any(len(axes) == len(shape) for axes, _ in known) else None


def _map_axes(call: Call, shape: tuple[int, ...]) -> Axes:
    """Keep the batch and the spatial roles of the input where it has them: a 2-D layer may act inside a 3-D model."""
    if not call.inputs or call.inputs[0][1].axes is None or call.name == "col2im":
        return image_of(shape, call.spatial_dims)
    before = call.inputs[0][1].axes
    roles = [axis[0].role if len(axis) == 1 and axis[0].is_spatial else None for axis in before[2:]]
    whole = len(before) == len(shape) and MIXED not in roles
    if not whole or any(role is None and (i.size > 1) for role, a in zip(roles, before[2:], strict=True) for i in a):
        return image_of(shape, call.spatial_dims)
    offset = call.spatial_dims - len(roles)
    space = (
        single(i + offset if role is None else role, n)
        for i, (role, n) in enumerate(zip(roles, shape[2:], strict=True))
    )
    return before[0], single(CHANNEL, shape[1]), *space


def _product_axes(call: Call, shape: tuple[int, ...]) -> Axes | None:
    """Rows come from the left factor, columns from the right one; a factor that is no data keeps the other's role."""
    factors = [a for a in call.args if isinstance(a, Tensor)][-2:]
    known = {id(t): i.axes for t, i in call.inputs if i.axes is not None}
    left, right = (known.get(id(f)) for f in factors)
    if left is not None and right is not None:
        return (*left[:-1], right[-1]) if len(left) == len(shape) else None
    if left is not None and len(left) == len(shape):
        return (*left[:-1], _contracted(left, len(left) - 1, shape[-1]))
    if right is not None and len(right) == len(shape):
        position = len(right) - 2
        return (*right[:position], _contracted(right, position, shape[position]), right[-1])
    return None


def _contracted(axes: Axes, position: int, length: int) -> Axis:
    """Return the axis that a matrix put in place of another: space if it was one whole spatial axis, else channels."""
    axis = axes[position]
    elsewhere = {atom.role for i, other in enumerate(axes) if i != position for atom in other}
    is_space = len(axis) == 1 and axis[0].is_spatial and axis[0].role not in elsewhere
    return resized(axis, length) if is_space else single(CHANNEL, length)


def _moved(call: Call, x: Tensor, axes: Axes) -> Axes | None:
    """Return the axes after an operator that reorders, adds or drops axes; None for any other operator."""
    n = x.dim()
    if call.name == "permute":
        return tuple(axes[i] for i in call.args[1])
    if call.name == "t":
        return tuple(reversed(axes))
    if call.name == "transpose":
        order = list(range(n))
        a, b = (int(i) % n for i in call.args[1:3])
        order[a], order[b] = order[b], order[a]
        return tuple(axes[i] for i in order)
    if call.name == "view_as_real":
        return *axes, single(CHANNEL, 2)
    if call.name == "unsqueeze":
        return _inserted(axes, int(call.args[1]) % (n + 1), ())
    if call.name == "stack":
        position = int(call.args[1]) if len(call.args) > 1 else 0
        return _inserted(axes, position % (n + 1), single(CHANNEL, len(call.args[0])))
    dropped = _dropped(call, x)
    return None if dropped is None else tuple(axis for i, axis in enumerate(axes) if i not in dropped)


def _inserted(axes: Axes, position: int, axis: Axis) -> Axes:
    return (*axes[:position], axis, *axes[position:])


def _dropped(call: Call, x: Tensor) -> set[int] | None:
    """Return the positions of the axes that an operator removes; None if it is no such operator."""
    rest = call.args[1:]
    if call.name in REMOVALS:
        return {int(rest[0] if rest else 0) % x.dim()}
    if call.name == "view_as_complex":
        return {x.dim() - 1}
    if call.name in SQUEEZES:
        asked = range(x.dim()) if not rest else rest[0] if isinstance(rest[0], list | tuple) else [rest[0]]
        return {i % x.dim() for i in asked if x.shape[i] == 1}
    if call.name in REDUCTIONS and rest and isinstance(rest[0], list | tuple) and not (len(rest) > 1 and rest[1]):
        return {i % x.dim() for i in rest[0]} or set(range(x.dim()))
    return None


def is_spectrum_after(call: Call, before: Lineage) -> bool:
    """Return whether a result is a spectrum of the map: from its Fourier transform on until the inverse one."""
    if call.name == "_fft_r2c":
        return True
    if call.name == "_fft_c2r":
        return False
    return bool(call.args[3]) if call.name == "_fft_c2c" else before.is_spectrum


def ratio_after(call: Call, before: tuple[int, ...], after: tuple[int, ...]) -> tuple[Fraction, ...]:
    """Return by how much the resolution changed per axis, for an operator that enlarges nothing."""
    dims = len(after)
    if len(before) != dims or call.name in ("cat", "constant_pad_nd") or "_pad" in call.name:
        return (Fraction(1),) * dims
    if call.name == "convolution":
        return _strided(call.args[3], dims)
    if "pool" in call.name and not call.name.startswith(("adaptive", "_adaptive")):
        stride = call.args[2] if len(call.args) > 2 and call.args[2] else call.args[1]
        return _strided(stride, dims)
    if call.name == "slice":
        return _sliced(call, dims)
    if call.name.startswith(("upsample", "_upsample", "grid_sampler", "adaptive", "_adaptive")):
        return tuple(Fraction(b, a) for a, b in zip(before, after, strict=True))
    return tuple(Fraction(b, a) if b and a % b == 0 else Fraction(1) for a, b in zip(before, after, strict=True))


def _strided(stride: Sequence[int], dims: int) -> tuple[Fraction, ...]:
    steps = list(stride) * dims if len(stride) == 1 else list(stride)
    return (Fraction(1),) * (dims - len(steps)) + tuple(Fraction(1, s) for s in steps[-dims:])


def _sliced(call: Call, dims: int) -> tuple[Fraction, ...]:
    ratio = [Fraction(1)] * dims
    step = int(call.args[4]) if len(call.args) > 4 else 1
    axes = call.inputs[0][1].axes
    axis = axes[int(call.args[1])] if axes is not None and step > 1 else ()
    if axis and isinstance(axis[0].role, int):
        ratio[axis[0].role] = Fraction(1, step)
    return tuple(ratio)
