"""Training task: what a worker does to train and commit one run, as a function of plain values."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

from checkerscope.analysis.cost import step_memory_mb
from checkerscope.experiments import errors
from checkerscope.experiments.errors import StoreError
from checkerscope.experiments.execution import fit
from checkerscope.experiments.execution.checkpoints import TrainingObserver, source
from checkerscope.experiments.store.runs import Store, weights_name
from checkerscope.experiments.study import build, provenance, source_code
from checkerscope.experiments.study.spec import RunSpec
from checkerscope.experiments.workers.signals import saving_when_stopped
from checkerscope.experiments.workers.signals import start_worker as start_worker
from checkerscope.toolkit.training import engine
from checkerscope.toolkit.training.devices import pick_device


@dataclass(frozen=True)
class Place:
    """Where and on what a task works; nothing in it is meant to change a number."""

    results: str
    study: str
    device: str = "cpu"
    threads: int = 1
    engine: str = "auto"

    @property
    def store(self) -> Store:
        """The study's store."""
        return Store(Path(self.results), self.study)


@saving_when_stopped()
def train_run(canonical: str, place: Place) -> dict[str, Any]:
    """Train one run and commit it.

    Returns:
        `{"run": id, "status": ..., "why": ...}`: "done", "diverged", "failed", "present" (it was finished already),
        "busy" (another process is working on it) or "halted" (the disk failed: other runs would fare no better).
    """
    spec = RunSpec.model_validate_json(canonical)
    try:
        if spec.base is not None and not place.store.is_finished(spec.id):
            first = _train_once(spec.base, place)
            if first["status"] == "busy":
                return report(spec, "busy", f"another process is working on {spec.base.id}, which it cures")
        return _train_once(spec, place)
    except (Exception, SystemExit) as error:  # a component that calls sys.exit fails its run, not the study
        return fail(spec, place, error)


def _train_once(spec: RunSpec, place: Place) -> dict[str, Any]:
    with place.store.lock(spec.id) as held:
        if not held:
            return report(spec, "busy", "another process is working on it")
        if place.store.is_finished(spec.id):
            return report(spec, "present")
        return _train(spec, place, place.store)


def report(spec: RunSpec, status: str, why: str = "") -> dict[str, Any]:
    """Return what a task says of a run."""
    return {"run": spec.id, "status": status, "why": why}


def _train(spec: RunSpec, place: Place, store: Store) -> dict[str, Any]:
    torch.set_num_threads(place.threads)
    device = pick_device(place.device)
    examples = build.data(spec, "train").to(device)
    network = fit.prepare(spec, examples, device, None if spec.base is None else _final_weights(store, spec.base))
    cost = fit.cost(network, examples)
    conditions = {**provenance.conditions(str(device)), "code": source_code.training_code(spec)}
    observer = TrainingObserver(spec, store, conditions)
    memory = step_memory_mb(network, examples.inputs[: spec.train.batch_size])
    state = observer.resume()
    provenance.reset_peak_memory()
    began, worked = time.monotonic(), time.process_time()
    outcome = fit.fit(spec, network, examples, observe=observer, resume=state)
    steps = outcome.step - (int(state["step"]) if state else 0)
    taken = speed(steps, max(0.0, time.monotonic() - began), time.process_time() - worked)  # clocks go wrong
    beside = {**provenance.environment(str(device)), **conditions, **taken, "step_memory_mb": memory}
    return commit(observer, outcome, cost, beside)


def commit(
    observer: TrainingObserver, outcome: engine.Outcome, cost: dict[str, int], beside: dict[str, Any]
) -> dict[str, Any]:
    """Commit a run whose training has ended, and return the report of its task."""
    spec, kept = observer.spec, observer.kept(outcome)
    files = {"spec.json": spec.canonical.encode(), "history.csv": fit.history(outcome.losses)}
    files |= {weights_name(step): tensors_to_bytes(weights) for step, weights in kept.items()}
    why = f"loss or weights not finite at step {outcome.step}" if outcome.status == "diverged" else ""
    record = {"status": outcome.status, "steps": outcome.step, "why": why, "kept": list(kept), **cost, **source(spec)}
    observer.store.commit(spec.id, files, record, beside)
    return report(spec, outcome.status, why)


def _final_weights(store: Store, base: RunSpec) -> dict[str, Tensor]:
    """Return the weights at the end of a finished run, which a cure starts from."""
    record = store.record(base.id)
    if record["status"] != "done":
        raise ValueError(f"{base.id}, which it cures, has {record['status']}: {record['why']}")
    return tensors_from_bytes(store.load(base.id, weights_name(record["steps"])))


def speed(steps: int, seconds: float, cpu_seconds: float) -> dict[str, Any]:
    """Return what the steps since the start or the last resumption took."""
    rate = steps / seconds if seconds > 0 else 0.0
    taken = {"seconds": seconds, "cpu_seconds": cpu_seconds, "steps_timed": steps, "steps_per_second": rate}
    return {**taken, "peak_memory_mb": provenance.peak_memory_mb(), "engine": "loop"}


def fail(spec: RunSpec, place: Place, error: BaseException) -> dict[str, Any]:
    """Commit the run as failed, with one line for people and the traceback beside it."""
    traceback.clear_frames(error.__traceback__)  # what the run held in memory, which may be what is short
    why = errors.one_line(error)
    if isinstance(error, StoreError) or errors.is_of_the_disk(error):
        return report(spec, "halted", why)
    why = f"out of memory: {why}" if errors.is_of_memory(error) else why
    record = {"status": "failed", "steps": 0, "why": why, "kept": [], "parameters": 0, "macs": 0, "period": 0}
    beside = {**provenance.environment("cpu"), "traceback": traceback.format_exc()}
    try:
        place.store.commit(spec.id, {"spec.json": spec.canonical.encode()}, record, beside)
    except (OSError, StoreError) as second:
        return report(spec, "halted", f"{why} (and its record could not be written: {errors.one_line(second)})")
    return report(spec, "failed", why)
