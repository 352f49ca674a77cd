"""Trains networks as their specs say. What a run's weights and costs depend on is imported from here.

The stamp of a run's code follows these imports: what only keeps, counts or reports belongs elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from checkerscope.analysis.cost import inference_cost
from checkerscope.experiments.study import build
from checkerscope.experiments.study.build import Examples
from checkerscope.experiments.study.spec import RunSpec
from checkerscope.toolkit.training import loop
from checkerscope.toolkit.training.engine import GroupObserver, Member, Observer, Outcome, Recipe


def recipe(spec: RunSpec) -> Recipe:
    """Return how the run is trained, or fine-tuned after a cure."""
    train = spec.train
    return Recipe(
        steps=spec.steps,
        batch_size=train.batch_size,
        learning_rate=(spec.cure and spec.cure.learning_rate) or train.learning_rate,
        loss=train.loss,
        precision=train.precision,
    )


def prepare(
    spec: RunSpec, examples: Examples, device: torch.device, base: Mapping[str, Tensor] | None = None
) -> nn.Module:
    """Return the network of a run as its training begins.

    Args:
        spec: Of the run.
        examples: What it is trained on, on the device.
        device: Where it is trained.
        base: Final weights of the run that it cures; None where it cures none.
    """
    network = build.model(spec, examples).to(device)
    if base is None:
        return network
    network.load_state_dict(base)
    return build.cured(spec, network, examples)


def fit(
    spec: RunSpec, network: nn.Module, examples: Examples, *, observe: Observer, resume: dict[str, Tensor] | None
) -> Outcome:
    """Train a network in place, from a saved state on if there is one."""
    return loop.train(
        network,
        examples.inputs,
        recipe(spec),
        seed=spec.seed,
        targets=examples.other_targets,
        observe=observe,
        resume=resume,
    )


def fit_together(
    engine: ModuleType, spec: RunSpec, members: Sequence[Member], examples: Examples, *, observe: GroupObserver
) -> list[Outcome]:
    """Train networks of one spec but for the seed in place, joined by an engine of `toolkit.training`."""
    outcomes: list[Outcome] = engine.train(
        members, examples.inputs, recipe(spec), targets=examples.other_targets, observe=observe
    )
    return outcomes


def cost(network: nn.Module, sample: Examples) -> dict[str, int]:
    """Return parameters, multiply-accumulates of one image's forward pass, and the period of the grid in pixels."""
    period: Any = network.period
    return {**inference_cost(network, sample.inputs[:1])._asdict(), "period": period}


def history(losses: Tensor) -> bytes:
    """Return the loss before each step as CSV, every digit of it."""
    rows = [f"{step},{loss!r}" for step, loss in enumerate(losses.tolist(), 1)]
    return ("\n".join(["step,loss", *rows]) + "\n").encode()
