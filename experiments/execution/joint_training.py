"""Joint training task: trains runs that differ by their seeds only together, and commits each as its own run."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import Any

import torch

from checkerscope.analysis.cost import step_memory_mb
from checkerscope.experiments.errors import StoreError
from checkerscope.experiments.execution import fit, training
from checkerscope.experiments.execution.checkpoints import TrainingObserver
from checkerscope.experiments.execution.training import Place, report
from checkerscope.experiments.store.runs import Store
from checkerscope.experiments.study import build, provenance, source_code
from checkerscope.experiments.study.spec import RunSpec
from checkerscope.experiments.workers.signals import exit_if_stopped, is_stopping, saving_when_stopped
from checkerscope.toolkit.training import choice, engine
from checkerscope.toolkit.training.choice import Choice
from checkerscope.toolkit.training.devices import pick_device
from checkerscope.toolkit.training.engine import Member


@saving_when_stopped()
def train_group(canonicals: tuple[str, ...], place: Place) -> dict[str, Any]:
    """Train runs that differ by their seeds only, together where the engine joins models, else one after the other.

    Returns:
        `{"status": ..., "why": ..., "runs": {id: what `train_run` reports}}`; the status is "busy" where another
        process works on one of them, and "halted" where the disk failed.
    """
    specs = [RunSpec.model_validate_json(canonical) for canonical in canonicals]
    reports: dict[str, dict[str, Any]] = {}
    with contextlib.ExitStack() as locks:
        free = []
        for spec in specs:
            try:
                held = locks.enter_context(place.store.lock(spec.id))
            except StoreError as error:
                return {"status": "halted", "why": str(error), "runs": {}}
            if not held:
                reports[spec.id] = report(spec, "busy", "another process is working on it")
            elif place.store.is_finished(spec.id):
                reports[spec.id] = report(spec, "present")
            else:
                free.append(spec)
        singles = free
        if free:
            try:
                joined = _train(free, place, place.store)
            except (Exception, SystemExit) as error:
                joined = {spec.id: training.fail(spec, place, error) for spec in free}
            reports |= joined
            singles = [spec for spec in free if spec.id not in joined]
    for spec in singles:  # their locks are free again: each is held by its own task
        reports[spec.id] = training.train_run(spec.canonical, place)
    worst = next((word for word in ("halted", "busy") if any(a["status"] == word for a in reports.values())), "done")
    why = "; ".join(a["why"] for a in reports.values() if a["status"] == worst and a["why"])
    return {"status": worst, "why": why, "runs": reports}


def _train(specs: Sequence[RunSpec], place: Place, store: Store) -> dict[str, dict[str, Any]]:
    """Train and commit the runs; return the report of each, or nothing where they are better trained one by one."""
    torch.set_num_threads(place.threads)
    device = pick_device(place.device)
    examples = build.data(specs[0], "train").to(device)
    recipe = fit.recipe(specs[0])
    members = [Member(fit.prepare(spec, examples, device), spec.seed) for spec in specs]
    chosen = choice.choose(place.engine, members, examples.inputs, recipe, targets=examples.other_targets)
    if chosen.engine == "loop":
        return {}
    cost = fit.cost(members[0].model, examples)
    memory = step_memory_mb(members[0].model, examples.inputs[: recipe.batch_size])
    observers = [TrainingObserver(spec, store, _conditions(spec, device, chosen, len(specs))) for spec in specs]
    members = _resumed(members, observers)
    provenance.reset_peak_memory()
    began, worked = time.monotonic(), time.process_time()
    outcomes = fit.fit_together(choice.ENGINES[chosen.engine], specs[0], members, examples, observe=_observe(observers))
    seconds, cpu_seconds = time.monotonic() - began, time.process_time() - worked
    reports = {}
    for observer, outcome in zip(observers, outcomes, strict=True):
        speed = training.speed(outcome.step - engine.common_step(members), seconds, cpu_seconds)
        conditions = _conditions(observer.spec, device, chosen, len(specs))
        beside = {**provenance.environment(str(device)), **speed, **conditions, "step_memory_mb": memory}
        reports[observer.spec.id] = training.commit(observer, outcome, cost, {**beside, "engine_why": chosen.why})
    return reports


def _conditions(spec: RunSpec, device: torch.device, chosen: Choice, count: int) -> dict[str, Any]:
    """Return what must be the same for a run to go on: how many are trained together changes the rounding."""
    code = source_code.training_code(spec, chosen.engine)
    return {**provenance.conditions(str(device)), "code": code, "engine": chosen.engine, "models": count}


def _resumed(members: list[Member], observers: list[TrainingObserver]) -> list[Member]:
    """Return the members with their saved states, if all were saved at the same step; else all begin again."""
    states = [observer.resume() for observer in observers]
    steps = {None if state is None else int(state["step"]) for state in states}
    if len(steps) > 1:
        for observer in observers:
            observer.weights.clear()
        return members
    return [Member(member.model, member.seed, state) for member, state in zip(members, states, strict=True)]


def _observe(observers: Sequence[TrainingObserver]) -> engine.GroupObserver:
    def observe(step: int, states: dict[int, engine.State]) -> None:
        save = observers[min(states)].due or is_stopping()  # of all or of none, so that they can go on together
        try:
            for index, state in states.items():
                observers[index].look(step, state, save=save)
        finally:
            if save:
                exit_if_stopped()

    return observe
