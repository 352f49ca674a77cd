"""What every training executor shares: the recipe, the order of the images, the loss and the state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toolkit import checks

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
        precision: `float32` (without TF32), `tf32`, `bfloat16` (autocast) or `float64`.
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


#: Called with the number of finished steps (0 before the first) and a function that returns the whole state.
Observer = Callable[[int, Callable[[], dict[str, Tensor]]], None]


def pick_device(name: str) -> torch.device:
    """Return the device for `auto` (cuda where there is one), `cpu`, `cuda` or `cuda:N`.

    Raises:
        ValueError: If it is no device of this machine; nothing falls back to the CPU silently.
    """
    kind = "cuda" if name == "auto" and torch.cuda.is_available() else "cpu" if name == "auto" else name
    base, _, index = kind.partition(":")
    if base not in ("cpu", "cuda") or (index and not index.isdigit()):
        raise checks.mismatch("device", "auto, cpu, cuda or cuda:N", repr(name))
    if base == "cuda" and int(index or 0) >= torch.cuda.device_count():
        found = torch.cuda.device_count() if torch.cuda.is_available() else "none"
        raise ValueError(
            f"device: {name} is not available (torch {torch.__version__}, CUDA devices: {found}); use --device cpu"
        )
    return torch.device(kind)


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


def memory_format(images: Tensor) -> torch.memory_format:
    """Return channels_last for images, where it is the fast layout, else the contiguous one."""
    return torch.channels_last if images.dim() == 4 else torch.contiguous_format


def loss_function(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the loss of a recipe, a function of (output, target)."""
    functions: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "mse": F.mse_loss,
        "l1": F.l1_loss,
        "cross_entropy": F.cross_entropy,
    }
    return functions[name]


def capture(model: nn.Module, optimizer: torch.optim.Optimizer, losses: Tensor, step: int) -> dict[str, Tensor]:
    """Return everything needed to go on after `step` steps, as one flat dictionary of tensors."""
    state = {f"model/{key}": _copy(value) for key, value in model.state_dict().items()}
    for index, entry in optimizer.state_dict()["state"].items():
        state |= {f"adam/{index}/{key}": _copy(torch.as_tensor(value)) for key, value in entry.items()}
    state["losses"] = _copy(losses[:step])
    state["step"] = torch.tensor(step)
    return state


def _copy(value: Tensor) -> Tensor:
    return value.detach().cpu().clone(memory_format=torch.contiguous_format)


def restore(model: nn.Module, optimizer: torch.optim.Optimizer, losses: Tensor, state: dict[str, Tensor]) -> int:
    """Write a captured state back and return its step."""
    step = int(state["step"])
    model.load_state_dict({key[6:]: value for key, value in state.items() if key.startswith("model/")})
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    entries: dict[int, dict[str, Tensor]] = {}
    for key, value in state.items():
        if key.startswith("adam/"):
            _, index, name = key.split("/")
            # fused Adam walks memory: its moments must lie exactly as the parameter does (channels_last)
            moment = value.dim() > 0
            placed = torch.empty_like(parameters[int(index)].data).copy_(value) if moment else value
            entries.setdefault(int(index), {})[name] = placed
    optimizer.load_state_dict({"state": entries, "param_groups": optimizer.state_dict()["param_groups"]})
    losses[:step] = state["losses"]
    return step


def first_failure(model: nn.Module, losses: Tensor, begin: int, end: int) -> int | None:
    """Return the first step (from 1) in (begin, end] with a loss that is not finite, or `end` for such weights."""
    bad = (~torch.isfinite(losses[begin:end])).nonzero()
    if len(bad):
        return begin + int(bad[0]) + 1
    finite = all(bool(torch.isfinite(p).all()) for p in model.parameters())
    return None if finite else end
