"""What a worker does with runs that differ by their seeds only: train them together, and commit each as its own run."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import Any

import torch

from checkerscope.analysis.cost import step_memory_mb
from checkerscope.experiments.errors import StoreError
from checkerscope.experiments.execution import training
from checkerscope.experiments.execution.checkpoints import Keeper
from checkerscope.experiments.execution.training import Place, answer
from checkerscope.experiments.store.runs import Store
from checkerscope.experiments.study import build, provenance
from checkerscope.experiments.study.spec import RunSpec
from checkerscope.experiments.workers.signals import exit_if_stopped, is_stopping, saving_when_stopped
from checkerscope.toolkit.training import choice, engine
from checkerscope.toolkit.training.choice import Choice
from checkerscope.toolkit.training.engine import Member


@saving_when_stopped()
def train_group(canonicals: tuple[str, ...], place: Place) -> dict[str, Any]:
    """Train runs that differ by their seeds only, together where the engine joins models, else one after the other.

    Returns:
        `{"status": ..., "why": ..., "runs": {id: what `train_run` answers}}`; the status is "busy" where another
        process works on one of them, and "halted" where the disk failed.
    """
    specs = [RunSpec.model_validate_json(canonical) for canonical in canonicals]
    answers: dict[str, dict[str, Any]] = {}
    with contextlib.ExitStack() as locks:
        free = []
        for spec in specs:
            try:
                held = locks.enter_context(place.store.lock(spec.id))
            except StoreError as error:
                return {"status": "halted", "why": str(error), "runs": {}}
            if not held:
                answers[spec.id] = answer(spec, "busy", "another process is working on it")
            elif place.store.is_finished(spec.id):
                answers[spec.id] = answer(spec, "present")
            else:
                free.append(spec)
        singles = free
        if free:
            try:
                joined = _train(free, place, place.store)
            except (Exception, SystemExit) as error:
                joined = {spec.id: training.fail(spec, place, error) for spec in free}
            answers |= joined
            singles = [spec for spec in free if spec.id not in joined]
    for spec in singles:  # their locks are free again: each is held by its own task
        answers[spec.id] = training.train_run(spec.canonical, place)
    worst = next((word for word in ("halted", "busy") if any(a["status"] == word for a in answers.values())), "done")
    why = "; ".join(a["why"] for a in answers.values() if a["status"] == worst and a["why"])
    return {"status": worst, "why": why, "runs": answers}


def _train(specs: Sequence[RunSpec], place: Place, store: Store) -> dict[str, dict[str, Any]]:
    """Train and commit the runs; return the answer for each, or nothing where they are better trained one by one."""
    torch.set_num_threads(place.threads)
    device = engine.pick_device(place.device)
    data = build.data(specs[0], "train").to(device)
    targets = None if data.targets is data.inputs else data.targets
    recipe = build.recipe(specs[0])
    members = [Member(build.model(spec, data).to(device), spec.seed) for spec in specs]
    chosen = choice.choose(place.engine, members, data.inputs, recipe, targets=targets)
    if chosen.executor == "loop":
        return {}
    cost = build.cost(members[0].model, data)
    memory = step_memory_mb(members[0].model, data.inputs[: recipe.batch_size])
    keepers = [Keeper(spec, store, _conditions(spec, device, chosen, len(specs))) for spec in specs]
    members = _resumed(members, keepers)
    provenance.reset_peak_memory()
    began, worked = time.monotonic(), time.process_time()
    outcomes = choice.EXECUTORS[chosen.executor].train(
        members, data.inputs, recipe, targets=targets, observe=_observer(keepers)
    )
    seconds, cpu_seconds = time.monotonic() - began, time.process_time() - worked
    answers = {}
    for keeper, outcome in zip(keepers, outcomes, strict=True):
        speed = training.speed(outcome.step - engine.common_step(members), seconds, cpu_seconds)
        conditions = _conditions(keeper.spec, device, chosen, len(specs))
        beside = {**provenance.environment(str(device)), **speed, **conditions, "step_memory_mb": memory}
        answers[keeper.spec.id] = training.commit(keeper, outcome, cost, {**beside, "executor_why": chosen.why})
    return answers


def _conditions(spec: RunSpec, device: torch.device, chosen: Choice, count: int) -> dict[str, Any]:
    """Return what must be the same for a run to go on: how many are trained together changes the rounding."""
    code = provenance.training_code(spec, chosen.executor)
    return {**provenance.conditions(str(device)), "code": code, "executor": chosen.executor, "models": count}


def _resumed(members: list[Member], keepers: list[Keeper]) -> list[Member]:
    """Return the members with their saved states, if all were saved at the same step; else all begin again."""
    states = [keeper.resume() for keeper in keepers]
    steps = {None if state is None else int(state["step"]) for state in states}
    if len(steps) > 1:
        for keeper in keepers:
            keeper.weights.clear()
        return members
    return [Member(member.model, member.seed, state) for member, state in zip(members, states, strict=True)]


def _observer(keepers: Sequence[Keeper]) -> engine.GroupObserver:
    def observe(step: int, states: dict[int, engine.State]) -> None:
        save = keepers[min(states)].due or is_stopping()  # of all or of none, so that they can go on together
        try:
            for index, state in states.items():
                keepers[index].look(step, state, save=save)
        finally:
            if save:
                exit_if_stopped()

    return observe
