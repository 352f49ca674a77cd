"""Every enlargement of one forward pass, found by what happens to the map.

Module classes and function names play no part, apart from torch's own operators. A pass may run on a periodic map and
may replace the result of the first enlargements, and the input of those before which there is none, by its spatial
mean: what is left at the output is then the grid of the later ones alone.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from checkerscope.analysis.audit.growth.axes import BATCH, CHANNEL, MIXED, image, single
from checkerscope.analysis.audit.growth.lineage import Ledger, Lineage, has_memory
from checkerscope.analysis.audit.tracing import returned
from checkerscope.analysis.audit.tracing.dispatch import Watch
from checkerscope.analysis.audit.tracing.modules import Paths
from checkerscope.analysis.audit.tracing.plan import Enlargement, Mark, Plan


@dataclass
class Pass:
    """What one forward pass showed.

    Attributes:
        output: What the model returned.
        enlargements: In order of execution.
        ledger: Where every tensor came from.
        trace: The grid behind every enlargement and every module after the first of them, in order of their end; empty
            unless the plan asks for it.
        inside: Inputs of the last squashing operators, by number, with their lineage and the operator's name.
        tiled: Where maps were cut into tiles and put together.
        hidden: Spatial axes of length 1 along which a reshape may have enlarged the map without showing it.
        epsilon: Coarsest relative rounding of any map on the way.
    """

    output: Any
    enlargements: list[Enlargement]
    ledger: Ledger = field(repr=False)
    trace: list[Mark] = field(default_factory=list)
    inside: dict[int, tuple[Tensor, Lineage, str]] = field(default_factory=dict, repr=False)
    tiled: tuple[str, ...] = ()
    hidden: frozenset[int] = frozenset()
    epsilon: float = 0.0

    def lineage(self, tensor: Tensor) -> Lineage | None:
        """Return what is known of an output tensor."""
        return self.ledger.of(tensor)


def forward(
    model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], *, spatial_dims: int, plan: Plan, paths: Paths
) -> Pass:
    """Run `model` once, without gradients, and return what was seen.

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
    mode = Watch(ledger, plan, paths)
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        stack.enter_context(paths.watched(mode.leave))
        stack.enter_context(mode)
        output = returned.settled(model(*args, **kwargs))
        mode.settle([t for _, t in returned.tensors(output) if has_memory(t)])
    return Pass(
        output,
        mode.found,
        ledger,
        mode.trace,
        mode.saturations.inside,
        tuple(mode.tiled),
        frozenset(mode.hidden),
        mode.epsilon,
    )


def _birth(value: Tensor, dims: int) -> Lineage:
    """Return the lineage of an input: a map, indices of a map, a vector, or tokens."""
    shape = tuple(value.shape)
    if value.dim() == dims + 2:
        return Lineage(image(shape), shape[2:])
    if value.dim() == dims + 1 and not value.is_floating_point():
        axes = (single(BATCH, shape[0]), *(single(i, n) for i, n in enumerate(shape[1:])))
        return Lineage(axes, shape[1:])
    if value.dim() <= 2:
        roles = (BATCH, CHANNEL)
        return Lineage(tuple(single(roles[i], n) for i, n in enumerate(shape)), (1,) * dims)
    if value.dim() == 3:
        return Lineage((single(BATCH, shape[0]), single(MIXED, shape[1]), single(CHANNEL, shape[2])), ())
    return Lineage(None, ())
