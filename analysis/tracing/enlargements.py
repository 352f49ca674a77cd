"""A dispatch mode that finds every enlargement of one forward pass, and can make maps flat on the way.

Everything is found by what it does to the map: module classes and function names play no part, apart from torch's
own operators. A pass may run on a periodic map (`circular`) and may replace the result of the first enlargements, and
the input of those before which there is none, by its spatial mean: what is left at the output is then the grid of
the later ones alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from analysis.tracing import circular
from analysis.tracing.axes import Axes, Axis, image, settled, single, space
from analysis.tracing.growth import Growth, Taps, growth
from analysis.tracing.ledger import Ledger, Lineage, Period, Source, has_memory, scaled, whole
from analysis.tracing.paths import Paths, calling_line
from analysis.tracing.rules import MOVES, Call, axes_after, ratio_after

#: Operators that take only a shape from their input.
_MAKING = ("new_", "zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like", "sym_", "bernoulli")
#: Operators that may touch memory that is being filled phase by phase without reading it.
_FILLING = ("slice", "copy_", "select", "zero_", "fill_", "as_strided")


@dataclass
class Enlargement:
    """One place and moment at which a map grows.

    Attributes:
        index: Order of execution.
        path: Of the innermost running module.
        where: The line of code that called, "file.py:line".
        kind: What it is.
        scale: Factor per spatial axis.
        period: Of all grids that its output may carry, in its own pixels.
        grid: Resolution of its input.
        taps: Its numbers.
        drifts: The lattice is not fixed.
        note: What else there is to say.
        own_tone: Share of the AC part in its output's power when its input is flat; filled by flat passes.
    """

    index: int
    path: str
    where: str
    kind: str
    scale: tuple[Fraction, ...]
    period: Period
    grid: tuple[int, ...]
    taps: Taps | None = None
    drifts: bool = False
    note: str = ""
    own_tone: float | None = None


@dataclass(frozen=True)
class Plan:
    """What to do besides watching.

    Attributes:
        circular: Run on a periodic map.
        flat_inputs: Make the input of enlargements flat before which there is none.
        flat_outputs: How many enlargements, in order, have their output made flat.
    """

    circular: bool = False
    flat_inputs: bool = False
    flat_outputs: int = 0


@dataclass
class Pass:
    """What one forward pass showed.

    Attributes:
        output: What the model returned.
        enlargements: In order of execution.
        periods: Of every output tensor, by memory: what `periods_of` reads.
    """

    output: Any
    enlargements: list[Enlargement]
    ledger: Ledger = field(repr=False)

    def lineage(self, tensor: Tensor) -> Lineage | None:
        """Return what is known of an output tensor."""
        return self.ledger.of(tensor)


def forward(
    model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], *, spatial_dims: int, plan: Plan, paths: Paths
) -> Pass:
    """Run `model` once and return what was seen.

    Args:
        model: Any module; its mode and weights are the caller's to guard.
        args: Positional arguments.
        kwargs: Keyword arguments.
        spatial_dims: 1, 2 or 3.
        plan: What to do besides watching.
        paths: The stack of running modules.
    """
    ledger = Ledger(spatial_dims)
    for value in pytree.tree_leaves((args, kwargs)):
        if has_memory(value):
            ledger.write(value, _birth(value, spatial_dims))
    mode = _Watch(ledger, plan, paths)
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        stack.enter_context(paths.watched())
        stack.enter_context(mode)
        output = model(*args, **kwargs)
        mode.settle_all(output)
    return Pass(output, mode.found, ledger)


def _birth(value: Tensor, dims: int) -> Lineage:
    """Return the lineage of an input: a map, indices of a map, a vector, or something else whose axes are unknown."""
    shape = tuple(value.shape)
    if value.dim() == dims + 2:
        return Lineage(image(shape), shape[2:])
    if value.dim() == dims + 1 and not value.is_floating_point():
        axes = (single("n", shape[0]), *(single(i, n) for i, n in enumerate(shape[1:])))
        return Lineage(axes, shape[1:])
    if value.dim() <= 2:
        names = ("n", "c")
        return Lineage(tuple(single(names[i], n) for i, n in enumerate(shape)), (1,) * dims)
    if value.dim() == 3:
        return Lineage((single("n", shape[0]), single("x", shape[1]), single("c", shape[2])), ())
    return Lineage(None, ())


class _Watch(TorchDispatchMode):
    def __init__(self, ledger: Ledger, plan: Plan, paths: Paths) -> None:
        super().__init__()
        self.ledger, self.plan, self.paths = ledger, plan, paths
        self.found: list[Enlargement] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"):
            with self:  # inside inference mode composite functions arrive whole: take them apart
                return func._op_dk(torch._C.DispatchKey.CompositeImplicitAutograd, *args, **kwargs)
        name = func._schema.name.removeprefix("aten::")
        tensors = [t for t in pytree.tree_leaves((args, kwargs)) if has_memory(t)]
        if name not in _FILLING:
            self._settle(tensors)
        inputs = [(t, lineage) for t in tensors if (lineage := self.ledger.of(t)) is not None]
        call = Call(name.rstrip("_") if not name.startswith("_") else name, args, inputs, self.ledger.spatial_dims)
        if name == "copy_":
            return self._copy(func, call, kwargs)
        out = self._run(func, call, args, kwargs)
        if call.name.startswith(_MAKING) or (not inputs and not _can_start(call)):
            self._note_new(out)
            return out
        return self._record(func, call, args, kwargs, out)

    def _run(self, func: Any, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not self.plan.circular:
            return func(*args, **kwargs)
        first = args[0] if args and isinstance(args[0], Tensor) else None
        lineage = self.ledger.of(first) if first is not None and has_memory(first) else None
        return circular.run(func, args, kwargs, lineage.axes if lineage else None)

    def _note_new(self, out: Any) -> None:
        for value in pytree.tree_leaves(out):
            if has_memory(value):
                self.ledger.record(value)

    def _record(self, func: Any, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Any:
        values = [v for v in pytree.tree_leaves(out) if has_memory(v)]
        if not values:
            return out
        if len(values) > 1:
            for value in values:
                self._follow(call, value)
            return out
        grown = self._growth(call, values[0])
        if grown is None:
            self._follow(call, values[0])
            return out
        return self._enlarge(func, call, args, kwargs, values[0], grown)

    def _growth(self, call: Call, out: Tensor) -> Growth | None:
        axes = axes_after(call, out) if call.inputs or call.name in ("convolution",) else image(tuple(out.shape))
        return growth(call, out, axes, self._main(call))

    def _main(self, call: Call) -> Lineage | None:
        """Return the lineage of the input with the highest resolution; a pooled or broadcast one says little."""
        best = None
        for _, lineage in call.inputs:
            if best is None or (_area(lineage.grid) > _area(best.grid)):
                best = lineage
        return best

    def _follow(self, call: Call, out: Tensor) -> None:
        """Note the lineage of a result that is no enlargement."""
        main = self._main(call)
        if main is None:
            self.ledger.record(out)
            return
        axes = axes_after(call, out)
        # a spectrum holds the map at the resolution of the pixels that it came from
        grid = main.grid if out.is_complex() else self.ledger.grid(axes, main.grid)
        ratio = ratio_after(call, main.grid, grid)
        periods = frozenset().union(
            *(l.periods for _, l in call.inputs if len(l.grid) == len(main.grid) and _near(l.grid, main.grid))
        )
        periods = scaled(periods, ratio) if len(ratio) == self.ledger.spatial_dims else periods
        self.ledger.write(out, Lineage(axes, grid, periods, self._source(call, main)))

    def _source(self, call: Call, main: Lineage) -> Source | None:
        if call.name == "convolution" and not call.args[6]:
            return Source(call.args[1].detach(), int(call.args[8]))
        if call.name in ("addmm", "mm") and isinstance(call.args[-1], Tensor) and self.ledger.of(call.args[-1]) is None:
            return Source(call.args[-1].detach().t())
        return main.source if call.name in MOVES else None

    def _enlarge(
        self, func: Any, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any], out: Tensor, grown: Growth
    ) -> Tensor:
        main = self._main(call) or Lineage(None, ())
        event = self._note(grown, main)
        if self.plan.flat_inputs and not main.periods and isinstance(args[0], Tensor):
            known = self.ledger.of(args[0])
            source = _flattened(args[0], space(known.axes) if known and known.axes else list(range(2, args[0].dim())))
            out = self._run(func, call, (source, *args[1:]), kwargs)
        axes = axes_after(call, out) if call.inputs else image(tuple(out.shape))
        axes = settled(axes, out.shape) if axes is not None else image(tuple(out.shape))
        return self._finish(event, grown, main, out, axes)

    def _note(self, grown: Growth, main: Lineage) -> Enlargement:
        own = tuple(s.numerator for s in grown.scale)
        periods = scaled(main.periods, grown.scale) | (frozenset() if grown.drifts else {own})
        event = Enlargement(
            index=len(self.found),
            path=self.paths.current,
            where=calling_line(),
            kind=grown.kind,
            scale=grown.scale,
            period=whole(periods, self.ledger.spatial_dims),
            grid=main.grid,
            taps=grown.taps,
            drifts=grown.drifts,
            note=grown.note,
        )
        self.found.append(event)
        return event

    def _finish(self, event: Enlargement, grown: Growth, main: Lineage, out: Tensor, axes: Axes) -> Tensor:
        positions = space(axes)
        if grown.blocks:
            event.kind = _kind_of_blocks(out, grown.blocks)
        if event.index == self.plan.flat_outputs and self.plan.flat_inputs:
            event.own_tone = own_tone(out, positions, event.scale)
        if event.index < self.plan.flat_outputs:
            out = _flattened(out, positions)
        grid = self.ledger.grid(axes, main.grid)
        own = tuple(s.numerator for s in grown.scale)
        periods = scaled(main.periods, grown.scale) | (frozenset() if grown.drifts else {own})
        self.ledger.write(out, Lineage(axes, grid, frozenset(periods)))
        return out

    # memory that is filled phase by phase: y = zeros(...); y[..., ::2, ::2] = x

    def _copy(self, func: Any, call: Call, kwargs: dict[str, Any]) -> Any:
        target, value = call.args[:2]
        lineage = self.ledger.of(value) if has_memory(value) else None
        record = self.ledger.record(target)
        steps = _steps(target, record.shape, record.stride)
        is_new = not record.views and record.pending is None
        opens = lineage is not None and max(steps, default=1) > 1 and is_new
        if opens and lineage is not None:
            if self.plan.flat_inputs and not lineage.periods and lineage.axes is not None:
                value = _flattened(value, space(lineage.axes))
            self._open(record, lineage, steps)
        out = func(target, value, *call.args[2:], **kwargs)
        if lineage is not None and not record.pending and not record.views:
            axes = tuple(single(_role(a, i), n) for i, (a, n) in enumerate(zip(lineage.axes or (), record.shape)))
            self._write_whole(target, record.shape, record.stride, Lineage(axes or None, record.shape[2:], lineage.periods))
        return out

    def _open(self, record: Any, lineage: Lineage, steps: Sequence[int]) -> None:
        scale = [Fraction(1)] * self.ledger.spatial_dims
        for axis, step in zip(lineage.axes or image(record.shape), steps, strict=False):
            if axis and isinstance(axis[0].role, int):
                scale[axis[0].role] = Fraction(step)
        if all(s == 1 for s in scale):
            return
        blocks = tuple((i, step) for i, step in enumerate(steps) if step > 1)
        grown = Growth("zero insertion", tuple(scale), blocks)
        record.pending = (self._note(grown, lineage), grown, lineage)

    def _settle(self, tensors: Sequence[Tensor]) -> None:
        """Close memory that is read for the first time since it was filled."""
        for tensor in tensors:
            if not self.ledger.knows(tensor):
                continue
            record = self.ledger.record(tensor)
            if record.pending is None:
                continue
            event, grown, lineage = record.pending  # type: ignore[misc]
            record.pending = None
            full = tensor.as_strided(record.shape, record.stride, 0)
            out = self._finish(event, grown, lineage, full, image(record.shape))
            if out is not full:
                full.copy_(out)
            self.ledger.write(full, self.ledger.of(out) or lineage)

    def settle_all(self, output: Any) -> None:
        """Close what the model returned without reading it again."""
        self._settle([t for t in pytree.tree_leaves(output) if has_memory(t)])

    def _write_whole(self, view: Tensor, shape: tuple[int, ...], stride: tuple[int, ...], lineage: Lineage) -> None:
        self.ledger.record(view).views[0, shape, stride] = lineage


def _role(axis: Axis, position: int) -> str | int:
    return axis[0].role if axis else ("n", "c")[position] if position < 2 else position - 2


def _can_start(call: Call) -> bool:
    """Return whether a call may enlarge something that the input never reached, such as a learned constant."""
    is_resize = call.name.startswith(("upsample_", "_upsample_", "pixel_shuffle"))
    return is_resize or (call.name == "convolution" and bool(call.args[6]))


def _area(grid: tuple[int, ...]) -> int:
    area = 1
    for length in grid:
        area *= length
    return area if grid else 0


def _near(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return all(3 * x >= 2 * y and 2 * x <= 3 * y for x, y in zip(a, b, strict=True))


def _steps(view: Tensor, shape: tuple[int, ...], stride: tuple[int, ...]) -> list[int]:
    """Return the step of a view along every axis of the tensor that its memory was made for."""
    if view.dim() != len(shape):
        return []
    return [v // s if s and v % s == 0 else 1 for v, s in zip(view.stride(), stride, strict=True)]


def _flattened(x: Tensor, positions: Sequence[int]) -> Tensor:
    """Return `x` with every value replaced by the mean over the axes at `positions`."""
    if not positions or not x.is_floating_point():
        return x
    return x.mean(list(positions), keepdim=True).expand_as(x).contiguous()


def _kind_of_blocks(x: Tensor, blocks: Sequence[tuple[int, int]]) -> str:
    """Return what a reshape did, from the values: the phases are equal, all but one zero, or all different."""
    phases = [x]
    for position, factor in blocks:
        phases = [p.movedim(position, 0)[k::factor].movedim(0, position) for p in phases for k in range(factor)]
    if all(p.shape == phases[0].shape and torch.equal(p, phases[0]) for p in phases[1:]):
        return "repetition"
    full = sum(bool(p.any()) for p in phases)
    return "zero insertion" if full == 1 else "shuffle by reshape"


def own_tone(x: Tensor, positions: Sequence[int], scale: Sequence[Fraction]) -> float | None:
    """Return the share of the AC part in the phase means' power, folded at the enlargement's own factor."""
    factors = [s.numerator for s in scale][-len(positions) :]
    means = x.detach().double()
    for position, factor in zip(positions, factors, strict=True):
        n = means.shape[position] // factor * factor
        if n == 0:
            return None
        cut = means.narrow(position, 0, n).movedim(position, -1)
        means = cut.unflatten(-1, (n // factor, factor)).mean(-2).movedim(-1, position)
    total = means.square().mean()
    if not total > 0:
        return 0.0
    return float((means - means.mean(list(positions), keepdim=True)).square().mean() / total)


Observer = Callable[[Enlargement, Tensor], None]
