"""What every training engine shares: the recipe, the data, the order of the images, and the walk over the steps."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from checkerscope.toolkit import checks
from checkerscope.toolkit.training import devices

PRECISIONS = ("float32", "tf32", "bfloat16", "float64")
LOSSES = ("mse", "l1", "cross_entropy")
#: Steps between two looks at the losses: often enough to stop early, rarely enough not to stall a GPU.
CHECK_EVERY = 25


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; everything in it changes the numbers.

    Attributes:
        steps: Optimizer steps.
        batch_size: Images per step.
        learning_rate: Adam's step size, constant.
        betas: Adam's decay rates.
        loss: `mse` or `l1`, mean over all values; `cross_entropy`, mean over pixels, of logits against one-hot targets.
        precision: `float32` (without TF32), `tf32` (CUDA only), `bfloat16` (autocast; weights, loss and Adam in
            float32) or `float64`.
    """

    steps: int
    batch_size: int = 16
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    loss: str = "mse"
    precision: str = "float32"

    def __post_init__(self) -> None:
        checks.integer("recipe: steps", self.steps, minimum=0)
        checks.integer("recipe: batch_size", self.batch_size)
        checks.choice("recipe: loss", self.loss, LOSSES)
        checks.choice("recipe: precision", self.precision, PRECISIONS)

    @property
    def dtype(self) -> torch.dtype:
        """The type of weights, images and Adam's moments."""
        return torch.float64 if self.precision == "float64" else torch.float32


@dataclass(frozen=True)
class Outcome:
    """How training ended.

    Attributes:
        status: "done" or "diverged".
        step: Last step, or the first step (from 1) whose loss or weights were not finite.
        losses: Loss before each step, (steps,), float32 on the CPU.
    """

    status: str
    step: int
    losses: Tensor


@dataclass(frozen=True)
class Member:
    """One of the models that are trained together and differ by their seeds only.

    Attributes:
        model: Trained in place, on the device where the images lie.
        seed: Seed of the order of its images.
        resume: A state that an observer was given, to go on from.
    """

    model: nn.Module
    seed: int
    resume: dict[str, Tensor] | None = None


#: Returns the whole state of one model as tensors on the CPU.
State = Callable[[], dict[str, Tensor]]
#: Called with the number of finished steps (0 before the first) and a function that returns the whole state.
Observer = Callable[[int, State], None]
#: The same for several models: one function for each model that is still trained, by its index.
GroupObserver = Callable[[int, dict[int, State]], None]


def index_table(steps: int, batch_size: int, count: int, *, seed: int) -> Tensor:
    """Return which image goes where, (steps, batch_size) int64: shuffled epochs, one after the other.

    Raises:
        ValueError: If there are no images.
    """
    checks.integer("training images", count, fix="check the image source")
    generator = torch.Generator().manual_seed(seed)
    epochs = -(-steps * batch_size // count)
    order = [torch.randperm(count, generator=generator) for _ in range(epochs)]
    flat = torch.cat(order) if order else torch.empty(0, dtype=torch.int64)
    return flat[: steps * batch_size].reshape(steps, batch_size)


def memory_format(images: Tensor, precision: str, models: Sequence[nn.Module] = ()) -> torch.memory_format:
    """Return the layout in which convolutions of images are fast, and that the models survive.

    That is channels_last on a CPU, and on a GPU for bfloat16; elsewhere a GPU is faster with the contiguous layout
    (a captured step on an H100, benchmarks/gpu_layouts.txt: float32 1.2 to 1.5 times, TF32 1.04 to 1.08 times as fast,
    bfloat16 1.2 to 1.3 times as slow). A model with a `crashing_layer` keeps the contiguous layout.
    """
    fast = images.dim() == 4 and (images.device.type == "cpu" or precision == "bfloat16")
    return torch.channels_last if fast and not any(map(crashing_layer, models)) else torch.contiguous_format


def crashing_layer(model: nn.Module) -> str:
    """Return the name of a layer whose backward pass ends the process in channels_last, or nothing.

    A transposed convolution of one tap and a stride above 1: torch 2.13 with oneDNN on a CPU reads beyond its memory,
    for some numbers of channels and images (`ConvTranspose2d(16, 8, 1, 2, 0, 1)` of 8 images of 32 x 32).

    >>> crashing_layer(nn.Sequential(nn.Conv2d(3, 8, 1), nn.ConvTranspose2d(8, 3, 1, 2, 0, 1)))
    '1'
    """
    for name, layer in model.named_modules():
        if isinstance(layer, nn.ConvTranspose2d) and set(layer.kernel_size) == {1} and max(layer.stride) > 1:
            return name or type(layer).__name__
    return ""


@dataclass(frozen=True)
class Data:
    """Images and targets where the training runs, the same tensor where a model should reproduce them.

    Attributes:
        images: (N, C, *spatial).
        targets: (N, ...).
        recipe: How to train.
        layout: How batches and kernels lie in memory.
    """

    images: Tensor
    targets: Tensor
    recipe: Recipe
    layout: torch.memory_format

    @classmethod
    def of(cls, images: Tensor, targets: Tensor | None, recipe: Recipe, *, models: Sequence[nn.Module] = ()) -> Data:
        """Return the data in the type and layout of the training of these models.

        Raises:
            ValueError: If the device cannot compute in the recipe's precision.
        """
        devices.check_precision(recipe.precision, images.device)
        layout = memory_format(images, recipe.precision, models)
        images = images.to(recipe.dtype).contiguous(memory_format=layout)
        placed = images if targets is None else targets.to(recipe.dtype).contiguous(memory_format=layout)
        return cls(images, placed, recipe, layout)

    @property
    def device(self) -> torch.device:
        """Where the images lie."""
        return self.images.device

    def place(self, model: nn.Module) -> nn.Module:
        """Return the model ready for training on this data, changed in place.

        Raises:
            ValueError: If the data lie in a layout in which the model would end the process.
        """
        if self.layout == torch.channels_last and (name := crashing_layer(model)):
            raise checks.mismatch(
                f"layer {name}", "data in the layout of its model", "channels_last", "name the models in Data.of"
            )
        return model.train().to(memory_format=self.layout, dtype=self.recipe.dtype)  # type: ignore[call-overload]

    def table(self, seed: int) -> Tensor:
        """Return `index_table` for this data, on its device."""
        recipe = self.recipe
        return index_table(recipe.steps, recipe.batch_size, len(self.images), seed=seed).to(self.device)

    def batch(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return the images and targets at `index`."""
        batch = self.images[index]
        return batch, batch if self.targets is self.images else self.targets[index]


def adam(model: nn.Module, data: Data) -> torch.optim.Adam:
    """Return fused Adam, which never asks the device for its step count and may be captured in a CUDA graph."""
    recipe, on_gpu = data.recipe, data.device.type == "cuda"
    return torch.optim.Adam(
        model.parameters(), lr=recipe.learning_rate, betas=recipe.betas, fused=True, capturable=on_gpu
    )


def loss_function(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the loss of a recipe, a function of (output, target)."""
    functions: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "mse": F.mse_loss,
        "l1": F.l1_loss,
        "cross_entropy": F.cross_entropy,
    }
    return functions[name]


def autocast(data: Data) -> contextlib.AbstractContextManager[Any]:
    """Return the context of one forward pass.

    One pass and no more: autocast keeps what it has cast until it ends, and would go on with the weights of the
    first step.
    """
    if data.recipe.precision != "bfloat16":
        return contextlib.nullcontext()
    return torch.autocast(data.device.type, torch.bfloat16)


class Training(Protocol):
    """What an engine advances: some models, from step `begin` on.

    Attributes:
        begin: Number of steps that are done.
        losses: Of every model, (models, steps), float32, on the device.
    """

    begin: int
    losses: Tensor

    def advance(self, step: int) -> None:
        """Train every model by one step, without waiting for the device."""

    def capture(self, index: int, step: int) -> dict[str, Tensor]:
        """Return the state of one model after `step` steps, as `state.capture` does."""

    def parameters(self, index: int) -> Iterable[Tensor]:
        """Return the parameters of one model."""


def walk(training: Training, steps: int, observe: GroupObserver | None) -> list[Outcome]:
    """Train to the end and return each model's outcome; a model that diverges is no longer observed."""
    count = len(training.losses)
    outcomes: dict[int, Outcome] = {}
    checked = training.begin - training.begin % CHECK_EVERY  # where an uninterrupted run would have looked last
    for step in range(training.begin, steps + 1):
        if observe is not None:
            observe(step, {i: partial(training.capture, i, step) for i in range(count) if i not in outcomes})
        if step == steps:
            break
        training.advance(step)
        if (step + 1) % CHECK_EVERY == 0 or step + 1 == steps:
            for i in range(count):
                failed = None if i in outcomes else first_failure(training, i, checked, step + 1)
                if failed is not None:
                    outcomes[i] = Outcome("diverged", failed, training.losses[i, :failed].cpu())
            checked = step + 1
            if len(outcomes) == count:
                break
    return [outcomes.get(i) or Outcome("done", steps, training.losses[i].cpu()) for i in range(count)]


def first_failure(training: Training, index: int, begin: int, end: int) -> int | None:
    """Return the first step (from 1) in (begin, end] with a loss that is not finite, or `end` for such weights."""
    bad = (~torch.isfinite(training.losses[index, begin:end])).nonzero()
    if len(bad):
        return begin + int(bad[0]) + 1
    finite = torch.stack([torch.isfinite(p).all() for p in training.parameters(index)]).all()
    return None if bool(finite) else end


def common_step(members: Sequence[Member]) -> int:
    """Return the step that all members go on from.

    Raises:
        ValueError: If they do not agree, or there are no members.
    """
    steps = {0 if member.resume is None else int(member.resume["step"]) for member in members}
    if len(steps) != 1:
        raise checks.mismatch("members", "one or more models at the same step", f"steps {sorted(steps)}")
    return steps.pop()
