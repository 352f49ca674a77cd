"""How many spatial axes a model has, and an example that is large enough to show two periods of a grid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from checkerscope.analysis.audit.probing import probes
from checkerscope.analysis.audit.probing.probes import Arguments
from checkerscope.analysis.audit.tracing import returned
from checkerscope.toolkit import checks

#: Length that an axis of length 1 is given where a reshape may hide in it, and the least factor of any other.
LONG, LONGER = 4, 2
#: Periods that have to fit into the output.
PERIODS = 2


class Kernels(TorchDispatchMode):
    """Counts the spatial axes of the convolutions and resizes that run."""

    def __init__(self) -> None:
        super().__init__()
        self.axes: Counter[int] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func._schema.name.removeprefix("aten::")
        if name == "convolution":
            self.axes[args[1].dim() - 2] += 1
        elif name.startswith(("upsample_", "_upsample_")):
            self.axes[args[0].dim() - 2] += 1
        return func(*args, **(kwargs or {}))


def spatial_dims(given: Arguments, output: Any, kernels: Counter[int], asked: int | None) -> int:
    """Return the number of spatial axes: the one asked for, or what shapes and convolutions tell.

    Raises:
        ValueError: If nothing has a shape (N, C, *spatial) or (N, C) with one to three spatial axes, or if the number
            that was asked for cannot be meant.
    """
    ranks = {x.dim() for x in probes.inputs(given)}
    outputs = sorted((x for _, x in returned.tensors(output)), key=Tensor.numel, reverse=True)
    if asked is None:
        found = _told_by_shapes(ranks, outputs[0].dim() if outputs else 0, kernels)
        if found is None:
            shapes = [tuple(x.shape) for x in (*probes.inputs(given), *outputs)]
            raise checks.mismatch("audit: model", "maps (N, C, *spatial) with 1 to 3 spatial axes", shapes, _HINT)
        return found
    checks.choice("audit: spatial_dims", asked, (1, 2, 3))
    is_map = any(probes.is_map(x, asked) for x in probes.inputs(given))
    is_made = any(x.dim() == asked + 2 for x in outputs) and (max(kernels, default=asked) >= asked)
    is_signal = asked == 1 and max(ranks, default=0) <= 3 and any(x.dim() == 2 for x in outputs)
    if not (is_map or is_made or is_signal):
        got = f"inputs {[tuple(x.shape) for x in probes.inputs(given)]}, outputs {[tuple(x.shape) for x in outputs]}"
        raise checks.mismatch("audit: spatial_dims", f"maps of {asked + 2} axes among inputs or outputs", got, _HINT)
    return asked


_HINT = "say spatial_dims"


def _told_by_shapes(ranks: set[int], largest: int, kernels: Counter[int]) -> int | None:
    most = kernels.most_common(1)[0][0] if kernels else None
    if 3 <= largest <= 5 and largest in ranks:
        return largest - 2
    if most is not None and most <= 3 and most + 2 in ranks and largest > most + 2:
        return most  # one axis more than space: prompts, scales, views
    if largest == 3 and not ranks & {4, 5}:
        return 1
    if 3 < largest <= 5 and not (4 in ranks and largest == 5):
        return largest - 2
    for rank in (5, 4, 3):
        if rank in ranks and (rank > 3 or largest <= 3 or most == 1 or most is None):
            return rank - 2
    if most is not None and 1 <= most <= 3:
        return most
    return 1 if largest == 2 and 2 in ranks else None


@dataclass(frozen=True)
class Shortage:
    """How much longer every spatial axis of an example has to be.

    Attributes:
        factors: Per spatial axis of the model.
    """

    factors: tuple[int, ...]

    @property
    def is_any(self) -> bool:
        """Whether any axis is too short."""
        return max(self.factors) > 1

    def sides(self, sides: Sequence[int]) -> list[int]:
        """Return the sides that a map needs."""
        return [max(n, LONG) if f > 1 and n == 1 else n * f for n, f in zip(sides, self.factors, strict=True)]

    def more_sides(self, sides: Sequence[int]) -> list[int]:
        """Return one more: some models take 4 k + 1 frames only."""
        return [m + (f > 1) for m, f in zip(self.sides(sides), self.factors, strict=True)]


def shortage(sides: Sequence[int], period: Sequence[int], hidden: frozenset[int]) -> Shortage:
    """Return by how much an example must grow for its output to show `PERIODS` periods on every axis.

    Args:
        sides: Of the output.
        period: Of its grids.
        hidden: Axes of length 1 inside the model along which a reshape may hide.

    >>> shortage((4, 16), (4, 2), frozenset()).factors
    (2, 1)
    """
    short = [-(-PERIODS * p // max(1, n)) if p > 1 else 1 for n, p in zip(sides, period, strict=True)]
    return Shortage(tuple(max(f, LONGER if i in hidden else 1) for i, f in enumerate(short)))


def is_unbatched(output: Any, batched: Any, dims: int) -> bool:
    """Return whether a model gives a map of `dims` spatial axes once its example has a batch axis, and none without."""
    ranks = [[x.dim() for _, x in returned.tensors(one)] for one in (output, batched)]
    return dims + 2 in ranks[1] and dims + 2 not in ranks[0]
