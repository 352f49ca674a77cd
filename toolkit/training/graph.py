"""Engine `graph`: one CUDA graph holds a step of every model, as parallel branches, and is replayed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from checkerscope.toolkit.training import devices, engine
from checkerscope.toolkit.training.engine import Data, GroupObserver, Member, Outcome, Recipe
from checkerscope.toolkit.training.loop import Loop

LABEL = "CUDA graph"
#: Steps taken before the capture, which then finds libraries loaded, algorithms chosen and Adam's state in place.
WARM_UP = 3


def refusal(members: Sequence[Member], data: Data) -> str:
    """Return why this engine cannot train the members, or nothing."""
    return "" if data.device.type == "cuda" else f"graph: expected a CUDA device, got {data.device.type}; use loop"


def train(
    members: Sequence[Member],
    images: Tensor,
    recipe: Recipe,
    *,
    targets: Tensor | None = None,
    observe: GroupObserver | None = None,
) -> list[Outcome]:
    """Train every member's model in place, as `loop.train` does one.

    Raises:
        ValueError: If the images do not lie on a CUDA device, or the members do not go on from the same step.
    """
    data = Data.of(images, targets, recipe, models=[member.model for member in members])
    if why := refusal(members, data):
        raise ValueError(why)
    with torch.cuda.device(data.device), devices.matmul_precision(recipe.precision):
        return engine.walk(Branches(members, data), recipe.steps, observe)


class Branch(Loop):
    """A model whose step takes nothing from the host: its number is counted on the device."""

    def __init__(self, member: Member, data: Data) -> None:
        super().__init__(member, data)
        self.position = torch.full((1,), self.begin, device=data.device)

    def step(self) -> None:
        """Take the next step."""
        loss = self.update(self.table.index_select(0, self.position).squeeze(0))
        self.losses.index_copy_(1, self.position, loss.to(self.losses.dtype).reshape(1, 1))
        self.position += 1


class Branches:
    """Models whose steps run side by side; see `engine.Training`. On a CPU one after the other, without a graph."""

    def __init__(self, members: Sequence[Member], data: Data) -> None:
        self.begin = engine.common_step(members)
        self.branches = [Branch(member, data) for member in members]
        self.losses = torch.cat([branch.losses for branch in self.branches])
        for branch, own in zip(self.branches, self.losses.split(1), strict=True):
            branch.losses = own  # a view, so that all are read at once
        self.warm = 0
        self.graph: torch.cuda.CUDAGraph | None = None
        on_gpu = data.device.type == "cuda"
        self.streams = [torch.cuda.Stream(data.device) for _ in members] if on_gpu else []

    def advance(self, step: int) -> None:
        """Train every model by one step."""
        if self.graph is None and self.streams and self.warm == WARM_UP:
            self.graph = self._captured()
        if self.graph is not None:
            self.graph.replay()
            return
        self._step()
        self.warm += 1

    def _captured(self) -> torch.cuda.CUDAGraph:
        for branch in self.branches:  # so that the captured backward pass writes gradients and does not add to them
            branch.optimizer.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._step()
        return graph

    def _step(self) -> None:
        if not self.streams:
            for branch in self.branches:
                branch.step()
            return
        main = torch.cuda.current_stream()
        for branch, stream in zip(self.branches, self.streams, strict=True):
            stream.wait_stream(main)
            with torch.cuda.stream(stream):
                branch.step()
        for stream in self.streams:
            main.wait_stream(stream)

    def capture(self, index: int, step: int) -> dict[str, Tensor]:
        """Return the state of one model after `step` steps."""
        return self.branches[index].capture(0, step)

    def parameters(self, index: int) -> Iterable[Tensor]:
        """Return the parameters of one model."""
        return self.branches[index].parameters(0)
