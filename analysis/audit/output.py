"""One output of an audited model: its map in whatever the model returns, and the grids that may be in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from checkerscope.analysis.audit import grids
from checkerscope.analysis.audit.growth.axes import BATCH, CHANNEL, MIXED, Atom
from checkerscope.analysis.audit.growth.lineage import Lineage, Period, has_memory, whole
from checkerscope.analysis.audit.tracing import returned
from checkerscope.analysis.audit.tracing.run import Pass


@dataclass(frozen=True)
class Output:
    """One output, or the input of the squashing operator that it ends with.

    Attributes:
        name: Its place in what the model returned, "" for a single tensor.
        lineage: Where it comes from.
        dims: Spatial axes of the model.
        inside: Number of the squashing operator whose input it is; None for the output itself.
        squash: Name of that operator.
    """

    name: str
    lineage: Lineage
    dims: int
    inside: int | None = None
    squash: str = ""

    @property
    def period(self) -> Period:
        """The period of all grids together."""
        return whole(self.periods, self.dims)

    @property
    def periods(self) -> frozenset[Period]:
        """Of the grids in it, per spatial axis."""
        return self.lineage.periods

    def map(self, run: Pass) -> Tensor:
        """Return its map (N, C, *spatial) in a pass."""
        x = dict(returned.tensors(run.output))[self.name] if self.inside is None else run.inside[self.inside][0]
        found = as_map(x, self.lineage, self.dims)
        if found is None:
            raise ValueError(f"output {self.name!r}: expected a map, got {tuple(x.shape)}")
        return found

    def pattern(self, run: Pass) -> Tensor:
        """Return its fixed grid, (N, C, phases)."""
        return grids.pattern(grids.centre(self.map(run), self.period), self.period)

    def contrast(self, runs: Sequence[Pass]) -> float:
        """Return the mean square around the spatial mean that its grid is compared with."""
        return max(grids.contrast(self.map(run), self.dims) for run in runs)

    def level(self, runs: Sequence[Pass]) -> float:
        """Return its mean square."""
        return max(grids.level(self.map(run), self.dims) for run in runs)

    def tones(self, run: Pass) -> dict[Period, float]:
        """Return the power of the grid by period, for an answer to varying content."""
        return grids.tone_by_period(self.map(run), self.periods)

    def fits(self, run: Pass, periods: int) -> bool:
        """Return whether that many periods fit into it on every axis."""
        return all(n >= periods * p for n, p in zip(self.map(run).shape[2:], self.period, strict=True) if p > 1)


def as_map(x: Tensor, lineage: Lineage, dims: int) -> Tensor | None:
    """Return any tensor that holds a map as (N, C, *spatial): channels last, flattened, with axes of any number.

    None where its axes were lost and its shape is no map's. Complex values become two channels each.
    """
    found = _by_axes(x, lineage, dims)
    found = _by_shape(x, lineage, dims) if found is None else found
    if found is not None and found.is_complex():
        found = torch.view_as_real(found).movedim(-1, 2).flatten(1, 2)
    return found


def _by_axes(x: Tensor, lineage: Lineage, dims: int) -> Tensor | None:
    """Split every axis into its atoms, put batch, channels and space together, and join each of them."""
    atoms = [atom for axis in lineage.axes or () for atom in axis]
    if lineage.axes is None or any(atom.role == MIXED for atom in atoms) or prod(a.size for a in atoms) != x.numel():
        return None
    groups = [[i for i, a in enumerate(atoms) if a.role == role] for role in (BATCH, CHANNEL, *range(dims))]
    groups[2:] = [sorted(group, key=lambda i: -atoms[i].stride) for group in groups[2:]]
    sizes = [prod(atoms[i].size for i in group) for group in groups]
    if len(lineage.grid) == dims and any(_is_twice(atoms, group) for group in groups[2:]):
        return None
    order = [i for group in groups for i in group]
    if len(order) != len(atoms) or not any(groups[2:]):
        return None
    return x.reshape([atom.size for atom in atoms]).permute(order).reshape(sizes) if atoms else None


def _is_twice(atoms: Sequence[Atom], group: Sequence[int]) -> bool:
    """Return whether an axis of space occurs more than once, as in a map of attention."""
    strides = [atoms[i].stride for i in group]
    return len(set(strides)) < len(strides)


def _by_shape(x: Tensor, lineage: Lineage, dims: int) -> Tensor | None:
    if x.dim() == dims + 1:
        return x.unsqueeze(1)
    if x.dim() != dims + 2:
        return None
    is_last = tuple(x.shape[1:-1]) == lineage.grid != tuple(x.shape[2:])
    return x.movedim(-1, 1) if is_last else x


@dataclass(frozen=True)
class Found:
    """The outputs of a pass, by what can be said of them.

    Attributes:
        judged: Those that carry a fixed lattice.
        plain: Those that are known to carry none.
        unread: What is no map.
        lost: Maps that cannot be followed from the input.
    """

    judged: tuple[Output, ...]
    plain: tuple[Output, ...]
    unread: tuple[str, ...]
    lost: tuple[str, ...] = ()


def outputs(seen: Pass, dims: int) -> Found:
    """Return the outputs of a pass, and the inputs of the squashing operators that they end with."""
    found: list[Output] = []
    unread: list[str] = []
    lost: list[str] = []
    for name, x in returned.tensors(seen.output):
        lineage = seen.lineage(x) if has_memory(x) else None
        readable = [o for o in _candidates(seen, name, x, lineage, dims) if _is_readable(o, seen, x)]
        found += readable
        if not readable:
            said = f"{name or 'output'} {str(x.dtype).removeprefix('torch.')} {tuple(x.shape)}"
            (lost if lineage is None and x.dim() > 2 else unread).append(said)
    judged = tuple(output for output in found if output.periods)
    return Found(judged, tuple(output for output in found if not output.periods), tuple(unread), tuple(lost))


def _candidates(seen: Pass, name: str, x: Tensor, lineage: Lineage | None, dims: int) -> list[Output]:
    found: list[Output] = []
    if lineage is None:
        return found
    if x.is_floating_point() or x.is_complex():
        found.append(Output(name, lineage, dims))
    if lineage.squashed is not None and lineage.squashed in seen.inside:
        _, before, squash = seen.inside[lineage.squashed]
        found.append(Output(name, before, dims, lineage.squashed, squash))
    return found


def _is_readable(output: Output, seen: Pass, x: Tensor) -> bool:
    x = x if output.inside is None else seen.inside[output.inside][0]
    return as_map(x, output.lineage, output.dims) is not None
