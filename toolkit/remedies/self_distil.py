"""Equal phase gains, then a short fit to what the module itself made of procedural images: no training data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from checkerscope.toolkit import checks
from checkerscope.toolkit.images import dead_leaves
from checkerscope.toolkit.remedies import _running, _sites, equal_gain, smooth
from checkerscope.toolkit.remedies._running import outputs
from checkerscope.toolkit.training import loop
from checkerscope.toolkit.training.engine import Recipe

LABEL = "Self-distillation"
SOURCE = "this study"
PROMISE = "approximate"
APPLIES_TO = ("transposed convolution", "sub-pixel shuffle")
COST = "none at inference; a fit of some hundred steps, without data"
#: Option sets that an audit tries.
TRIALS = ({"steps": 100}, {"steps": 100, "places": "output"})

PLACES = ("kernels", "output")


def apply(
    module: nn.Module,
    *,
    order: int = 0,
    places: str = "kernels",
    period: int | Sequence[int] | None = None,
    steps: int = 200,
    learning_rate: float = 2e-3,
    images: int = 512,
    size: int = 64,
    seed: int = 0,
    inputs: Tensor | None = None,
    example: Any = None,
) -> nn.Module:
    """Return a copy of `module` with equal phase gains that gives the module's own outputs again, less their grid.

    Every learned enlargement is projected and kept at equal gains while everything from the first of them on is fitted
    to the original's outputs (mean squared error, Adam); what lies before, the encoder, stays as it is, so latents
    keep their meaning. The part of the outputs' phase means that is common to all images, the grid, is taken out of
    the targets first. `inputs` are dead leaves by default, drawn and not photographed, which suits a module that takes
    images; a decoder needs latents.

    Args:
        module: Any module that takes one map and gives one.
        order: As in `equal_gain`; with places=output as in `smooth`, plus one.
        places: `kernels` projects every kernel that enlarges. `output` filters the output instead, which works
            whatever makes the grid, and the fit sharpens what goes into the filter.
        period: Of the grid in the output; the product of the strides by default.
        steps: Of the fit; 0 projects only.
        learning_rate: Adam's step size.
        images: Number of procedural images.
        size: Their side in pixels.
        seed: Of the images and of their order.
        inputs: What to fit on, (N, C, *spatial), instead of procedural images.
        example: Of the module's input, with which calls are found; by default one of `inputs`, or a flat map that
            fits the first layer.

    Raises:
        ValueError: As `equal_gain`, or if procedural images do not fit the module.
    """
    checks.choice("self_distil: places", places, PLACES)
    checks.integer("self_distil: steps", steps, minimum=0)
    if example is None and inputs is not None:
        example = inputs[:1]
    example = _running.example_of(module, example)
    sites = _sites.learned(module, "self_distil", example) if places == "kernels" else _sites.find(module, example)
    if inputs is None:
        inputs = _procedural(module, images=images, size=size, seed=seed)
    if places == "output":
        cured = smooth.apply(module, order=order + 1, places=places, period=period, example=example)
    else:
        cured = equal_gain.apply(module, order=order, keep=True, example=example)
    if steps:
        lengths = _sites.period(sites) if period is None else period
        precision = "float64" if inputs.dtype == torch.float64 else "float32"
        recipe = Recipe(steps, min(16, len(inputs)), learning_rate, precision=precision)
        _fit(cured, inputs, _targets(module, inputs, lengths), recipe, seed)
        cured.train(module.training).to(inputs.dtype)
    return equal_gain.baked(cured)


def _targets(module: nn.Module, inputs: Tensor, period: int | Sequence[int]) -> Tensor:
    maps = outputs(module, inputs)
    return without_grid(maps, (period,) * (maps.dim() - 2) if isinstance(period, int) else period)


def _procedural(module: nn.Module, *, images: int, size: int, seed: int) -> Tensor:
    channels, dims = _running.first_channels(module, "self_distil: inputs")
    if dims != 2 or channels not in (1, 3):
        got = f"{channels} channels on {dims} axes"
        raise checks.mismatch("self_distil: inputs", "a module of images with 1 or 3 channels", got, "pass inputs")
    reference = next(module.parameters())
    return dead_leaves.load("train", size, seed=seed, images=images, channels=channels).to(reference)


def without_grid(maps: Tensor, period: Sequence[int]) -> Tensor:
    """Return maps (N, C, *spatial) less the pattern of that period that all of them share, its mean kept.

    >>> without_grid(torch.tensor([[[1.0, 3.0, 1.0, 3.0]]]), [2])
    tensor([[[2., 2., 2., 2.]]])
    """
    cell = maps.mean(0, keepdim=True).double()
    for axis, length in enumerate(period, start=2):
        whole = cell.shape[axis] // length * length
        cell = cell.narrow(axis, 0, whole).unflatten(axis, (-1, length)).mean(axis)
    cell = cell - cell.flatten(2).mean(-1).reshape(1, -1, *(1,) * len(period))
    for axis, (side, length) in enumerate(zip(maps.shape[2:], period, strict=True), start=2):
        cell = cell.index_select(axis, torch.arange(side, device=maps.device) % length)
    return maps - cell.to(maps)


def _fit(cured: nn.Module, inputs: Tensor, targets: Tensor, recipe: Recipe, seed: int) -> None:
    frozen = _sites.before_the_first(cured, inputs[:1])
    for part in frozen:
        part.requires_grad_(False)

    def observe(step: int, state: object) -> None:
        for part in frozen if step == 0 else ():
            part.eval()  # the encoder's running statistics stay as they are

    try:
        outcome = loop.train(cured, inputs, recipe, seed=seed, targets=targets, observe=observe)
    finally:
        for part in frozen:
            part.requires_grad_(True)
    if outcome.status != "done":
        got = f"numbers that are not finite at step {outcome.step}"
        raise checks.mismatch("self_distil", "a fit that ends", got, "use a smaller learning_rate")
