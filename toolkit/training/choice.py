"""Which engine trains a group of models: the one that was asked for, or the one that is fastest at this group."""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from checkerscope.toolkit import checks
from checkerscope.toolkit.training import graph, grouped, loop
from checkerscope.toolkit.training.engine import Data, Member, Recipe

ENGINES: dict[str, ModuleType] = {"loop": loop, "graph": graph, "grouped": grouped}
CHOICES = ("auto", *ENGINES)
#: Steps that are not timed, and steps that are.
WARM_UP, TIMED = 5, 10


@dataclass(frozen=True)
class Choice:
    """An engine and what spoke for it.

    Attributes:
        engine: Its name.
        why: One line.
        seconds: Of one step of the whole group, by engine; empty where nothing was timed.
    """

    engine: str
    why: str
    seconds: dict[str, float] = field(default_factory=dict)


def check(name: str, device: torch.device) -> str:
    """Return the name of an engine that may work on a device.

    Raises:
        ValueError: If it is unknown, or cannot work there.
    """
    checks.choice("engine", name, CHOICES)
    if name == "graph" and device.type != "cuda":
        raise checks.mismatch("engine: graph", "a CUDA device", device.type, "use --engine loop, or --device cuda")
    return name


def choose(
    name: str, members: Sequence[Member], images: Tensor, recipe: Recipe, *, targets: Tensor | None = None
) -> Choice:
    """Return which engine should train the members; their models stay as they are.

    `auto` takes the loop on a CPU, where both others lose, and on a GPU times a few steps of everything that can run.

    Raises:
        ValueError: If the engine that was asked for cannot train them.
    """
    check(name, images.device)
    data = Data.of(images, targets, recipe, models=[member.model for member in members])
    if name == "loop":
        return Choice(name, "asked for")
    if name != "auto":
        if why := refusal(name, members, data):
            raise ValueError(f"engine: {why}")
        return Choice(name, "asked for")
    if images.device.type == "cpu":
        return Choice("loop", "on a CPU joining models loses")
    return fastest(members, images, recipe, targets=targets)


def refusal(name: str, members: Sequence[Member], data: Data) -> str:
    """Return why an engine cannot train the members, or nothing."""
    return "" if name == "loop" else str(ENGINES[name].refusal(members, data))


def fastest(members: Sequence[Member], images: Tensor, recipe: Recipe, *, targets: Tensor | None = None) -> Choice:
    """Return the engine that takes the least time for a step of the whole group, timed on copies of the models."""
    data = Data.of(images, targets, recipe, models=[member.model for member in members])
    seconds: dict[str, float] = {}
    notes: list[str] = []
    for name in ENGINES:
        try:
            if why := refusal(name, members, data):
                notes.append(why)
            else:
                seconds[name] = seconds_per_step(name, members, data)
        except torch.OutOfMemoryError:
            notes.append(f"{name}: out of memory")
    if not seconds:
        raise torch.OutOfMemoryError("; ".join(notes))
    times = ", ".join(f"{name} {1e3 * taken:.2f} ms" for name, taken in seconds.items())
    why = "; ".join([f"a step of {len(members)} models: {times}", *notes])
    return Choice(min(seconds, key=lambda name: seconds[name]), why, seconds)


def seconds_per_step(name: str, members: Sequence[Member], data: Data, timed: int = TIMED) -> float:
    """Return the seconds that one step of all members takes, the mean of `timed` steps with copies of their models."""
    recipe = dataclasses.replace(data.recipe, steps=WARM_UP + timed)
    copies = [Member(copy.deepcopy(member.model), member.seed) for member in members]
    targets = None if data.targets is data.images else data.targets
    marks: dict[int, float] = {}

    def watch(step: int, *_: Any) -> None:
        if step in (WARM_UP, recipe.steps):
            if data.device.type == "cuda":
                torch.cuda.synchronize(data.device)
            marks[step] = time.perf_counter()

    if name == "loop":
        loop.train(copies[0].model, data.images, recipe, seed=copies[0].seed, targets=targets, observe=watch)
    else:
        ENGINES[name].train(copies, data.images, recipe, targets=targets, observe=watch)
    # the loop trains one model after the other
    return (len(members) if name == "loop" else 1) * (marks[recipe.steps] - marks[WARM_UP]) / timed
