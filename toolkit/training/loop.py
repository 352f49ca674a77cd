"""Executor `loop`: one model, one step after the other. The reference for the others, and the fast one on a CPU."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from toolkit.training import engine
from toolkit.training.engine import Observer, Outcome, Recipe

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
    """
    layout = engine.memory_format(images)
    dtype = torch.float64 if recipe.precision == "float64" else torch.float32
    model.train().to(memory_format=layout, dtype=dtype)  # type: ignore[call-overload]
    images = images.to(dtype).contiguous(memory_format=layout)
    targets = images if targets is None else targets.to(dtype).contiguous(memory_format=layout)
    table = engine.index_table(recipe.steps, recipe.batch_size, len(images), seed=seed).to(images.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate, betas=recipe.betas, fused=True)
    losses = torch.zeros(recipe.steps, dtype=torch.float32, device=images.device)
    begin = engine.restore(model, optimizer, losses, resume) if resume else 0
    checked = begin - begin % engine.CHECK_EVERY  # where an uninterrupted run would have looked last
    loss_of = engine.loss_function(recipe.loss)
    with _precision(recipe.precision, images.device.type):
        for step in range(begin, recipe.steps + 1):
            if observe is not None:
                observe(step, lambda step=step: engine.capture(model, optimizer, losses, step))  # type: ignore[misc]
            if step == recipe.steps:
                break
            batch = images[table[step]]
            target = batch if targets is images else targets[table[step]]
            loss = loss_of(model(batch).to(target.dtype), target)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            losses[step] = loss.detach()
            if (step + 1) % engine.CHECK_EVERY == 0 or step + 1 == recipe.steps:
                failed = engine.first_failure(model, losses, checked, step + 1)
                if failed is not None:
                    return Outcome("diverged", failed, losses[:failed].cpu())
                checked = step + 1
    return Outcome("done", recipe.steps, losses.cpu())


@contextlib.contextmanager
def _precision(name: str, device: str) -> Iterator[None]:
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = name == "tf32"
    try:
        with torch.autocast(device, torch.bfloat16) if name == "bfloat16" else contextlib.nullcontext():
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
