"""The dispatch mode that follows every tensor, notes enlargements, and makes maps flat on the way."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from checkerscope.analysis.audit.growth.axes import Axes, image_of, settled, space
from checkerscope.analysis.audit.growth.enlarging import growth
from checkerscope.analysis.audit.growth.filling import opening, whole_lineage
from checkerscope.analysis.audit.growth.lineage import Ledger, Lineage, Period, Source, has_memory, scaled, whole
from checkerscope.analysis.audit.growth.narrow import hidden_axes
from checkerscope.analysis.audit.growth.operators import MOVES, Call, axes_after, is_spectrum_after, ratio_after
from checkerscope.analysis.audit.growth.records import Growth
from checkerscope.analysis.audit.tracing import periodic, returned, statistics, tiles
from checkerscope.analysis.audit.tracing.flatness import flattened, kind_of_blocks, own_tone
from checkerscope.analysis.audit.tracing.modules import Paths, calling_line
from checkerscope.analysis.audit.tracing.plan import Enlargement, Mark, Plan
from checkerscope.analysis.audit.tracing.saturation import Saturations

#: Operators that take only a shape from their input.
_MAKING = ("new_", "zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like", "sym_", "bernoulli")
#: Operators that draw random numbers; a map of them is content, and is made flat with the inputs.
_RANDOM = ("rand", "normal", "uniform", "bernoulli", "exponential", "cauchy", "log_normal")
#: Operators that may touch memory that is being filled phase by phase without reading it.
_FILLING = ("slice", "copy_", "select", "zero_", "fill_", "as_strided")


class Watch(TorchDispatchMode):
    """Follows every tensor of a forward pass; `found` holds the enlargements in order of execution."""

    def __init__(self, ledger: Ledger, plan: Plan, paths: Paths) -> None:
        super().__init__()
        self.ledger, self.plan, self.paths = ledger, plan, paths
        self.found: list[Enlargement] = []
        self.trace: list[Mark] = []
        self.saturations = Saturations()
        self.tiled: list[str] = []
        self.hidden: set[int] = set()
        self.epsilon = 0.0
        self._reduced = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"):
            with self:  # inside inference mode composite functions arrive whole: take them apart
                return func._op_dk(torch._C.DispatchKey.CompositeImplicitAutograd, *args, **kwargs)
        if func is torch.ops.aten._convolution.default:  # what traced models call
            func, args = torch.ops.aten.convolution.default, args[:9]
        name = func._schema.name.removeprefix("aten::")
        tensors = [t for t in pytree.tree_leaves((args, kwargs)) if has_memory(t)]
        if name not in _FILLING:
            self.settle(tensors)
        inputs = [(t, lineage) for t in tensors if (lineage := self.ledger.of(t)) is not None]
        call = Call(name.rstrip("_") if not name.startswith("_") else name, args, inputs, self.ledger.spatial_dims)
        if name in ("copy_", "add_") and len(args) > 1:
            self._paste(args[0], args[1])
        if name == "copy_":
            return self._copy(func, call, kwargs)
        squashed = self.saturations.number(call, in_place=name.endswith("_"))
        out = self._run(func, call, args, kwargs)
        if call.name.startswith(_MAKING) or (not inputs and not call.can_start):
            return self._note_new(call, out)
        return self._record(func, call, args, kwargs, (out, squashed))

    def _run(self, func: Any, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        first = args[0] if args and isinstance(args[0], Tensor) and has_memory(args[0]) else None
        lineage = self.ledger.of(first) if first is not None else None
        axes = lineage.axes if lineage else None
        if self.plan.statistics is not None and first is not None and lineage is not None:
            if statistics.normalizes(call.name, args, axes):
                return self._reduce(func, call, args, kwargs, 1)
            if statistics.is_statistic(call.name, args, axes):
                return self._reduce(func, call, args, kwargs, 0)
        return periodic.run(func, args, kwargs, axes) if self.plan.circular else func(*args, **kwargs)

    def _reduce(self, func: Any, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any], since: int) -> Any:
        """Take statistics of a map, on a periodic map those of the example; they stand in the results from `since` on.

        A normalization is one with its statistics, the second and third of its results.
        """
        index, self._reduced = self._reduced, self._reduced + 1
        kept = self.plan.statistics
        if kept is None:
            return func(*args, **kwargs)
        if self.plan.is_held and (held := kept.held(index, call.name, args[0])) is not None:
            with _disable_current_modes():
                if since:
                    return statistics.normalized(call.name, args, held)
                flat = statistics.made_flat(call.name, held, axes_after(call, held[0]))
            return flat if len(flat) > 1 else flat[0]
        out = func(*args, **kwargs)
        if not self.plan.is_held:
            with _disable_current_modes():
                values = out if isinstance(out, tuple | list) else (out,)
                kept.note(call.name, args[0], tuple(values[since:]))
        return out

    def _note_new(self, call: Call, out: Any) -> Any:
        for value in pytree.tree_leaves(out):
            if has_memory(value):
                self.ledger.record(value)
        dims = self.ledger.spatial_dims
        if self.plan.flat_inputs and call.name.startswith(_RANDOM) and isinstance(out, Tensor) and out.dim() > dims + 1:
            with _disable_current_modes():
                out.copy_(flattened(out, list(range(out.dim() - dims, out.dim()))))
        return out

    def _record(
        self, func: Any, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any], result: tuple[Any, int | None]
    ) -> Any:
        out, squashed = result
        values = [v for v in pytree.tree_leaves(out) if has_memory(v)]
        if not values:
            return out
        if len(values) > 1:
            for value in values:
                self._follow(call, value)
            return out
        if tiles.in_batch(call):
            self._note_tiles()
        grown = self._growth(call, values[0])
        if grown is None:
            self._follow(call, values[0], squashed)
            return out
        return self._enlarge(func, call, args, kwargs, values[0], grown)

    def _growth(self, call: Call, out: Tensor) -> Growth | None:
        axes = axes_after(call, out) if call.inputs or call.name == "convolution" else self._image(out)
        return growth(call, out, axes, call.main)

    def _follow(self, call: Call, out: Tensor, squashed: int | None = None) -> None:
        """Note the lineage of a result that is no enlargement."""
        main = call.main
        if main is None:
            self.ledger.record(out)
            return
        axes = axes_after(call, out)
        self.hidden |= hidden_axes(call, axes, main)
        if tiles.joins(call, axes):
            self._note_tiles()
        self._round(out)
        is_spectrum = is_spectrum_after(call, main)
        # a spectrum holds the map at the resolution of the pixels that it came from
        grid = main.grid if is_spectrum or out.is_complex() else self.ledger.grid(axes, main.grid)
        ratio = ratio_after(call, main.grid, grid)
        alike = [i for _, i in call.inputs if len(i.grid) == len(main.grid) and i.is_near(main)]
        periods = frozenset(period for lineage in alike for period in lineage.periods)
        periods = scaled(periods, ratio) if len(ratio) == self.ledger.spatial_dims else periods
        self.ledger.write(out, Lineage(axes, grid, periods, self._source(call, main), is_spectrum, squashed))

    def _round(self, out: Tensor) -> None:
        if out.is_floating_point():
            self.epsilon = max(self.epsilon, torch.finfo(out.dtype).eps)

    def _note_tiles(self) -> None:
        where = self.paths.current or calling_line() or "(model)"
        if where not in self.tiled:
            self.tiled.append(where)

    def _paste(self, target: Tensor, value: Any) -> None:
        if not (has_memory(value) and has_memory(target) and self.ledger.of(value) is not None):
            return
        if tiles.pastes(target, value, self.ledger.record(target), self.ledger.spatial_dims):
            self._note_tiles()

    def _source(self, call: Call, main: Lineage) -> Source | None:
        if call.name == "convolution" and not call.args[6]:
            return Source(call.args[1].detach(), int(call.args[8]))
        if call.name in ("addmm", "mm") and isinstance(call.args[-1], Tensor) and self.ledger.of(call.args[-1]) is None:
            return Source(call.args[-1].detach().t())
        return main.source if call.name in MOVES else None

    def _enlarge(
        self, func: Any, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any], out: Tensor, grown: Growth
    ) -> Tensor:
        main = call.main or Lineage(None, ())
        event = self._note(grown, main)
        if self.plan.flat_inputs and not main.periods:
            out = self._run(func, call, self._flat_args(call, args), kwargs)
        axes = axes_after(call, out) if call.inputs else self._image(out)
        axes = self._image(out) if axes is None or hidden_axes(call, axes, main) else settled(axes, out.shape)
        done = self._finish(event, grown, main, out, axes)
        if out is args[0] and done is not out:  # written in place
            with _disable_current_modes():
                out.copy_(done)
            return out
        return done

    def _flat_args(self, call: Call, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the arguments with the map among them made flat: a learned one where the input reaches none."""
        if not call.inputs:
            return flattened(args[0], list(range(2, args[0].dim()))), *args[1:]
        source, lineage = call.inputs[0]
        # a map made of a vector has no axis yet that is known to be space
        is_map = source.dim() == self.ledger.spatial_dims + 2
        positions = space(lineage.axes or ()) or (list(range(2, source.dim())) if is_map else [])
        return pytree.tree_map_only(Tensor, lambda x: flattened(x, positions) if x is source else x, args)

    def _image(self, x: Tensor) -> Axes:
        return image_of(tuple(x.shape), self.ledger.spatial_dims)

    def _note(self, grown: Growth, main: Lineage) -> Enlargement:
        path, where = self.paths.current, calling_line()
        period = whole(_periods(grown, main), self.ledger.spatial_dims)
        event = Enlargement(
            index=len(self.found),
            path=path,
            where=where,
            kind=grown.kind,
            scale=grown.scale,
            period=period,
            grid=main.grid,
            taps=grown.taps,
            drifts=grown.drifts,
            note=grown.note,
            group=(path, where, grown.kind, grown.scale, period),
        )
        self.found.append(event)
        return event

    def _finish(self, event: Enlargement, grown: Growth, main: Lineage, out: Tensor, axes: Axes) -> Tensor:
        positions = space(axes)
        self._round(out)
        if grown.blocks:
            event.kind = kind_of_blocks(out, grown.blocks, grown.kind)
        if event.group == self.plan.measured:
            event.own_tone = own_tone(out, positions, event.scale)
        if event.group in self.plan.flat_outputs:
            out = flattened(out, positions)
        grid = self.ledger.grid(axes, main.grid)
        self.ledger.write(out, Lineage(axes, grid, _periods(grown, main)))
        if self.plan.traced:
            self._mark(event.path, out, event.index)
        return out

    def leave(self, path: str, output: Any) -> None:
        """Note the share of the grid in what a module returns, its first map with a lattice."""
        for _, x in returned.tensors(output) if self.plan.traced else ():
            if self._mark(path, x, None):
                return

    def _mark(self, path: str, x: Tensor, index: int | None) -> bool:
        """Note the share of the grid in a map, if it has a lattice and axes that are known."""
        lineage = self.ledger.of(x) if has_memory(x) else None
        if lineage is None or lineage.axes is None or not lineage.periods:
            return False
        with _disable_current_modes():
            period = [Fraction(p) for p in whole(lineage.periods, self.ledger.spatial_dims)]
            share = own_tone(x, space(lineage.axes), period)
        if share is not None:
            self.trace.append(Mark(path, share, index))
        return share is not None

    def _copy(self, func: Any, call: Call, kwargs: dict[str, Any]) -> Any:
        """Copy into memory, noting where that fills a larger map: y = zeros(...); y[..., ::2, ::2] = x."""
        target, value = call.args[:2]
        lineage = self.ledger.of(value) if has_memory(value) else None
        record = self.ledger.record(target)
        is_new = lineage is not None and not record.views and record.pending is None
        if is_new and lineage is not None:
            grown = opening(target, record, lineage, self.ledger.spatial_dims)
            if grown is None:
                record.views[0, record.shape, record.stride] = whole_lineage(lineage, record.shape, target.is_complex())
            else:
                if self.plan.flat_inputs and not lineage.periods and lineage.axes is not None:
                    value = flattened(value, space(lineage.axes))
                record.pending = (self._note(grown, lineage), grown, lineage)
        return func(target, value, *call.args[2:], **kwargs)

    def settle(self, tensors: Sequence[Tensor]) -> None:
        """Close memory that was filled phase by phase, when it is read for the first time."""
        for tensor in tensors:
            record = self.ledger.record(tensor) if self.ledger.knows(tensor) else None
            if record is None or record.pending is None:
                continue
            (event, grown, lineage), record.pending = record.pending, None
            full = tensor.as_strided(record.shape, record.stride, 0)
            out = self._finish(event, grown, lineage, full, self._image(full))
            if out is not full:
                full.copy_(out)
            self.ledger.write(full, self.ledger.of(out) or lineage)


def _periods(grown: Growth, main: Lineage) -> frozenset[Period]:
    """Return the periods in an enlarged map: those before, longer now, and the enlargement's own."""
    own = tuple(s.numerator for s in grown.scale)
    return scaled(main.periods, grown.scale) | (frozenset() if grown.drifts else {own})
