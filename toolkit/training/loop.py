"""Engine `loop`: one model, one step after the other. The reference for the others, and the fast one on a CPU."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from checkerscope.toolkit.training import devices, engine, state
from checkerscope.toolkit.training.engine import Data, Member, Observer, Outcome, Recipe

LABEL = "Eager loop"


def train(
    model: nn.Module,
    images: Tensor,
    recipe: Recipe,
    *,
    seed: int,
    targets: Tensor | None = None,
    observe: Observer | None = None,
    resume: dict[str, Tensor] | None = None,
) -> Outcome:
    """Train `model` in place to make `targets` of `images`, on the device where all of them lie.

    Args:
        model: Maps a batch (B, C, *spatial) to an output of the targets' shape.
        images: Resident training images, (N, C, *spatial).
        recipe: How to train.
        seed: Seed of the order of the images.
        targets: What the outputs are compared with, (N, ...); the images themselves by default.
        observe: Called before the first and after every step.
        resume: A state that `observe` was given, to go on from; bit-exact under the same thread count.

    Raises:
        ValueError: If the device cannot compute in the recipe's precision.
    """
    data = Data.of(images, targets, recipe, models=[model])
    each = None if observe is None else lambda step, states: observe(step, states[0])
    with devices.matmul_precision(recipe.precision):
        return engine.walk(Loop(Member(model, seed, resume), data), recipe.steps, each)[0]


class Loop:
    """One model under training; see `engine.Training`."""

    def __init__(self, member: Member, data: Data) -> None:
        self.model, self.data = data.place(member.model), data
        self.table = data.table(member.seed)
        self.optimizer = engine.adam(self.model, data)
        self.loss = engine.loss_function(data.recipe.loss)
        self.losses = torch.zeros(1, data.recipe.steps, dtype=torch.float32, device=data.device)
        self.begin = 0
        if member.resume is not None:
            self.begin = state.restore(self.model, self.optimizer, member.resume)
            self.losses[0, : self.begin] = member.resume["losses"]

    def advance(self, step: int) -> None:
        """Train by one step."""
        self.losses[0, step] = self.update(self.table[step])

    def update(self, index: Tensor) -> Tensor:
        """Take one optimizer step on the images at `index` and return the loss before it."""
        batch, target = self.data.batch(index)
        with engine.autocast(self.data):
            output = self.model(batch)
        loss = self.loss(output.to(target.dtype), target)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def capture(self, index: int, step: int) -> dict[str, Tensor]:
        """Return the state after `step` steps."""
        return state.capture(self.model.state_dict(), self.optimizer.state_dict()["state"], self.losses[0], step)

    def parameters(self, index: int) -> Iterable[Tensor]:
        """Return the parameters."""
        return self.model.parameters()
