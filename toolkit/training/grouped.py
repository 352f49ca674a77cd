"""Engine `grouped`: K models as one network of K times the channels, whose convolutions have K times the groups.

Model m has the channels m C to (m + 1) C - 1 of every map. Fused weights are `torch.cat` of the models' weights and
chunks of them are the models' weights again, since both kinds of convolution keep their groups along the first axis.
Where a network mixes channels outside of convolutions it cannot be fused; whether it does is not declared anywhere but
tried out: the fused network must give what the models give.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from checkerscope.toolkit import checks
from checkerscope.toolkit.training import devices, engine, state
from checkerscope.toolkit.training.engine import Data, GroupObserver, Member, Outcome, Recipe

LABEL = "Channel groups"

CONVOLUTIONS = (
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
)
#: What modules call their numbers of channels.
CHANNELS = ("in_channels", "out_channels", "image_channels")
#: Greatest difference between fused and single outputs, relative to their maximum, in float64.
TOLERANCE = 1e-10


def refusal(members: Sequence[Member], data: Data) -> str:
    """Return why the members' models cannot be trained as one network, or nothing."""
    first, second = (copy.deepcopy(member.model).double() for member in (members[0], members[-1]))
    try:
        fused = fuse([first, second])
    except ValueError as error:
        return f"grouped: {error}"
    images = data.images[: data.recipe.batch_size].double()  # as many as in training: some modules look at the size
    others = images.roll(1, 0)
    with torch.no_grad():
        expected = torch.cat([first(images), second(others)], dim=1)
        try:
            got = fused(torch.cat([images, others], dim=1))
        except (ValueError, RuntimeError):  # shapes that do not fit
            got = torch.empty(0)
    if got.shape == expected.shape and bool(((got - expected).abs() <= TOLERANCE * expected.abs().max()).all()):
        return ""
    return f"grouped: {_names(first)} mixes channels outside of its convolutions"


def _names(model: nn.Module) -> str:
    upsamplers: Any = getattr(model, "upsamplers", ())
    return " with ".join(dict.fromkeys(type(part).__module__.rpartition(".")[2] for part in (model, *upsamplers)))


def fuse(models: Sequence[nn.Module]) -> nn.Module:
    """Return one network that maps (B, K C, *spatial), model by model, as the K models map their (B, C, *spatial).

    Raises:
        ValueError: If a module other than torch's convolutions has parameters.
    """
    fused, count = copy.deepcopy(models[0]), len(models)
    for name, module in fused.named_modules():
        if type(module) in CONVOLUTIONS:
            module.groups *= count
        elif own := [key for key, _ in module.named_parameters(recurse=False)]:
            raise checks.mismatch(
                f"{_names(fused)}: {name}", "parameters in torch's convolutions only", f"its own {own[0]!r}"
            )
        for key in CHANNELS:
            if isinstance(getattr(module, key, None), int):
                setattr(module, key, getattr(module, key) * count)
    for parameter, *parts in zip(fused.parameters(), *(model.parameters() for model in models), strict=True):
        parameter.data = torch.cat([part.detach() for part in parts])
    return fused


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
        ValueError: If the models cannot be trained as one, or do not go on from the same step.
    """
    data = Data.of(images, targets, recipe, models=[member.model for member in members])
    if why := refusal(members, data):
        raise ValueError(f"{why}; use loop")
    with devices.matmul_precision(recipe.precision):
        training = Grouped(members, data)
        outcomes = engine.walk(training, recipe.steps, observe)
    training.write_back()
    return outcomes


class Grouped:
    """Models that are trained as one network; see `engine.Training`."""

    def __init__(self, members: Sequence[Member], data: Data) -> None:
        self.begin = engine.common_step(members)
        self.count, self.data = len(members), data
        self.models = [data.place(member.model) for member in members]
        self.fused = data.place(fuse(self.models))
        self.optimizer = engine.adam(self.fused, data)
        self.table = torch.stack([data.table(member.seed) for member in members], dim=-1)  # (steps, B, K)
        self.losses = torch.zeros(self.count, data.recipe.steps, dtype=torch.float32, device=data.device)
        states = [member.resume for member in members if member.resume is not None]
        if states:
            state.restore(self.fused, self.optimizer, self._joined(states))
            self.losses[:, : self.begin] = torch.stack([each["losses"] for each in states])

    def advance(self, step: int) -> None:
        """Train every model by one step."""
        batch, target = (side.flatten(1, 2) for side in self.data.batch(self.table[step]))  # (B, K C, *spatial)
        with engine.autocast(self.data):
            output = self.fused(batch.contiguous(memory_format=self.data.layout))
        losses = self._losses(output.to(target.dtype), target)
        self.optimizer.zero_grad(set_to_none=True)
        losses.sum().backward()  # no weight is shared, so every model gets the gradient of its own loss
        self.optimizer.step()
        self.losses[:, step] = losses.detach()

    def _losses(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss of every model, (K,)."""
        sides = (side.unflatten(1, (self.count, -1)) for side in (output, target))
        values = VALUES[self.data.recipe.loss](*sides)
        return values.transpose(0, 1).flatten(1).mean(1)

    def capture(self, index: int, step: int) -> dict[str, Tensor]:
        """Return the state of one model after `step` steps."""
        model = self.fused.state_dict(keep_vars=True)
        adam = self.optimizer.state_dict()["state"]
        own = {name: self._part(value, index) if _is_learned(value) else value for name, value in model.items()}
        moments = {i: {k: self._part(v, index) if v.dim() else v for k, v in e.items()} for i, e in adam.items()}
        return state.capture(own, moments, self.losses[index], step)

    def _part(self, fused: Tensor, index: int) -> Tensor:
        return fused.chunk(self.count)[index]

    def _joined(self, states: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return the fused network's state from those of the models."""
        shared = {name for name, value in self.fused.state_dict(keep_vars=True).items() if not _is_learned(value)}
        return {
            key: first
            if not first.dim() or key == "losses" or key.removeprefix("model/") in shared
            else torch.cat([each[key] for each in states])
            for key, first in states[0].items()
        }

    def parameters(self, index: int) -> Iterator[Tensor]:
        """Yield the parameters of one model."""
        return (self._part(parameter, index) for parameter in self.fused.parameters())

    def write_back(self) -> None:
        """Give every model its weights."""
        with torch.no_grad():
            for index, model in enumerate(self.models):
                for own, part in zip(model.parameters(), self.parameters(index), strict=True):
                    own.copy_(part)


def _is_learned(value: Tensor) -> bool:
    return isinstance(value, nn.Parameter)


def _cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    return -(target * output.log_softmax(2)).sum(2)


#: Of every value or pixel, from (B, K, C, *spatial).
VALUES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": lambda output, target: F.mse_loss(output, target, reduction="none"),
    "l1": lambda output, target: F.l1_loss(output, target, reduction="none"),
    "cross_entropy": _cross_entropy,
}
