"""What a worker does: train one run, or measure one run. Pure functions of plain values; results are files."""

from __future__ import annotations

import math
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

from experiments import build, failure, provenance
from experiments.config import RunSpec
from experiments.duty import is_told_to_stop, leave_if_told, on_duty
from experiments.duty import start_worker as start_worker
from experiments.memory import step_memory_mb
from experiments.store import Store, StoreError, to_json
from toolkit import catalog
from toolkit.training import engine, loop

#: Seconds of training between two checkpoints.
CHECKPOINT_SECONDS = 5.0


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


def weights_name(step: int) -> str:
    """Return the file name of the weights after `step` steps."""
    return f"step-{step:07d}.safetensors"


@on_duty()
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
                return answer(spec, "busy", f"another process is working on {spec.base.id}, which it cures")
        return _train_once(spec, place)
    except (Exception, SystemExit) as error:  # a component that calls sys.exit fails its run, not the study
        return fail(spec, place, error)


def _train_once(spec: RunSpec, place: Place) -> dict[str, Any]:
    with place.store.lock(spec.id) as held:
        if not held:
            return answer(spec, "busy", "another process is working on it")
        if place.store.is_finished(spec.id):
            return answer(spec, "present")
        return _train(spec, place, place.store)


def answer(spec: RunSpec, status: str, why: str = "") -> dict[str, Any]:
    """Return what a task says of a run."""
    return {"run": spec.id, "status": status, "why": why}


def _train(spec: RunSpec, place: Place, store: Store) -> dict[str, Any]:
    torch.set_num_threads(place.threads)
    device = engine.pick_device(place.device)
    data = build.data(spec, "train").to(device)
    network = build.model(spec, data).to(device)
    if spec.base is not None:
        network.load_state_dict(_final_weights(store, spec.base))
        network = build.cured(spec, network, data)
    cost = build.cost(network, data)
    conditions = {**provenance.conditions(str(device)), "code": provenance.training_code(spec)}
    keeper = _Keeper(spec, store, conditions)
    memory = step_memory_mb(network, data.inputs[: spec.train.batch_size])
    state = keeper.resume()
    provenance.reset_peak_memory()
    began, worked = time.monotonic(), time.process_time()
    outcome = loop.train(
        network,
        data.inputs,
        build.recipe(spec),
        seed=spec.seed,
        targets=None if data.targets is data.inputs else data.targets,
        observe=keeper,
        resume=state,
    )
    steps = outcome.step - (int(state["step"]) if state else 0)
    taken = speed(steps, max(0.0, time.monotonic() - began), time.process_time() - worked)  # clocks go wrong
    beside = {**provenance.environment(str(device)), **conditions, **taken, "step_memory_mb": memory}
    return commit(keeper, outcome, cost, beside)


def commit(keeper: _Keeper, outcome: engine.Outcome, cost: dict[str, int], beside: dict[str, Any]) -> dict[str, Any]:
    """Commit a run whose training has ended, and return the answer of its task."""
    spec = keeper.spec
    files = {"spec.json": spec.canonical.encode(), "history.csv": _history(outcome.losses)}
    kept = keeper.weights if outcome.status == "done" else {s: w for s, w in keeper.weights.items() if s < outcome.step}
    files |= {weights_name(step): tensors_to_bytes(weights) for step, weights in sorted(kept.items())}
    why = f"loss or weights not finite at step {outcome.step}" if outcome.status == "diverged" else ""
    record = {
        "status": outcome.status,
        "steps": outcome.step,
        "why": why,
        "kept": sorted(kept),
        **cost,
        **_source(spec),
    }
    keeper.store.commit(spec.id, files, record, beside)
    return answer(spec, outcome.status, why)


def _source(spec: RunSpec) -> dict[str, str]:
    """Return what the manifest says of images that the user may change, and nothing of others."""
    return {"source": fingerprint} if (fingerprint := build.fingerprint(spec)) else {}


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
    return {**taken, "peak_memory_mb": provenance.peak_memory_mb(), "executor": "loop"}


class _Keeper:
    """Observer of a training: keeps snapshots, writes checkpoints, stops when asked."""

    def __init__(self, spec: RunSpec, store: Store, conditions: dict[str, Any]) -> None:
        self.spec, self.store = spec, store
        self.weights: dict[int, dict[str, Tensor]] = {}
        self.last = time.monotonic()
        # a run that was begun by other code, or with other threads, is begun again: half of each would be neither
        self.conditions = torch.frombuffer(bytearray(to_json({**conditions, **_source(spec)})), dtype=torch.uint8)

    def resume(self) -> dict[str, Tensor] | None:
        """Return the state to go on from, if there is one that was made under the same conditions."""
        saved = self.store.load_checkpoint(self.spec.id)
        try:
            state = tensors_from_bytes(saved) if saved else {}
        except SafetensorError:  # whole, and yet no checkpoint of ours
            return None
        if not torch.equal(state.pop("conditions", torch.empty(0)), self.conditions):
            return None
        for key in [key for key in state if key.startswith("kept/")]:
            _, step, name = key.split("/", 2)
            self.weights.setdefault(int(step), {})[name] = state.pop(key)
        return state

    def __call__(self, step: int, state: engine.State) -> None:
        """Look at the training after `step` steps; save the state and end the process where it was told to stop."""
        try:
            self.look(step, state, save=self.due or is_told_to_stop())
        finally:
            leave_if_told()

    @property
    def due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return time.monotonic() - self.last >= CHECKPOINT_SECONDS

    def look(self, step: int, state: engine.State, *, save: bool) -> None:
        """Keep the weights after `step` steps if they are asked for, and the whole state if `save` says so."""
        if step in self.spec.saved_steps and step not in self.weights:
            self.weights[step] = {k[6:]: v for k, v in state().items() if k.startswith("model/")}
        if save and 0 < step < self.spec.steps:
            self._save(step, state())

    def _save(self, step: int, state: dict[str, Tensor]) -> None:
        kept = {f"kept/{s}/{name}": w for s, weights in self.weights.items() for name, w in weights.items()}
        packed = tensors_to_bytes({**state, **kept, "conditions": self.conditions})
        self.store.save_checkpoint(self.spec.id, step, packed)
        self.last = time.monotonic()


def _history(losses: Tensor) -> bytes:
    rows = [f"{step},{loss!r}" for step, loss in enumerate(losses.tolist(), 1)]
    return ("\n".join(["step,loss", *rows]) + "\n").encode()


def fail(spec: RunSpec, place: Place, error: BaseException) -> dict[str, Any]:
    """Commit the run as failed, with one line for people and the traceback beside it."""
    why = failure.one_line(error)
    if isinstance(error, StoreError) or failure.is_of_the_disk(error):
        return answer(spec, "halted", why)
    why = f"out of memory: {why}" if failure.is_of_memory(error) else why
    record = {"status": "failed", "steps": 0, "why": why, "kept": [], "parameters": 0, "macs": 0, "period": 0}
    beside = {**provenance.environment("cpu"), "traceback": traceback.format_exc()}
    try:
        place.store.commit(spec.id, {"spec.json": spec.canonical.encode()}, record, beside)
    except (OSError, StoreError) as second:
        return answer(spec, "halted", f"{why} (and its record could not be written: {failure.one_line(second)})")
    return answer(spec, "failed", why)


@on_duty()
def measure_run(canonical: str, measures: tuple[str, ...], asked: dict[str, int], place: Place) -> dict[str, Any]:
    """Take the measures of one complete run that are missing or out of date.

    Args:
        canonical: The run's spec.
        measures: Names of the measures.
        asked: What a measured number depends on besides the run and the code: number of `images`, `margin`.
        place: Where.

    Returns:
        `{"run": id, "status": "done" | "busy" | "halted", "measured": how many were taken, "failed": [lines]}`.
    """
    spec = RunSpec.model_validate_json(canonical)
    try:
        with place.store.lock(spec.id) as held:
            if not held:
                return answer(spec, "busy", "another process is working on it")
            due = tuple(name for name in measures if not is_measured(place.store, spec, (name,), asked))
            failed = _measure(spec, due, asked, place)
            return {**answer(spec, "done"), "measured": len(due), "failed": failed}
    except (OSError, StoreError) as error:
        return answer(spec, "halted", failure.one_line(error))


def _measure(spec: RunSpec, due: tuple[str, ...], asked: dict[str, int], place: Place) -> list[str]:
    """Take measures of every kept step, store the complete ones, and return one line per measure that failed."""
    torch.set_num_threads(place.threads)
    store = place.store
    record = store.record(spec.id)
    if not due or not record["kept"]:
        return []
    if record.get("source", "") != build.fingerprint(spec):
        return [f"{spec.id}: its images have changed since it was trained; put them back, or choose other --results"]
    failures: dict[str, str] = {}
    device = engine.pick_device(place.device)
    held_out = build.data(spec, "test").first(asked["images"])
    found: dict[str, dict[int, dict[str, Any]]] = {name: {} for name in due}
    network = architecture(spec, held_out).to(device)
    held_out = held_out.to(device)
    for step in record["kept"]:
        whole = [name for name in due if name not in failures]
        network.load_state_dict(tensors_from_bytes(store.load(spec.id, weights_name(step))))
        with engine.matmul_precision("float32"):  # whatever the training's was
            trial = build.trial(network.to(torch.float32), held_out, spec, margin=asked["margin"])
            for name in whole:
                try:
                    found[name][step] = catalog.load("analysis.measures", name).measure(trial)
                except (Exception, SystemExit) as error:
                    failures[name] = f"{spec.id} {name} at step {step}: {failure.one_line(error)}"
    for name in due:
        if name not in failures:
            _save(store, spec, name, found[name], {**asked, "code": provenance.measuring_code(spec, name)})
    return list(failures.values())


def architecture(spec: RunSpec, held_out: build.Data) -> torch.nn.Module:
    """Return a network into which the run's weights fit; what a remedy changes of it does not hang on weights."""
    network = build.model(spec, held_out)
    return network if spec.cure is None else build.cured(spec, network, held_out, fit=False)


def is_measured(store: Store, spec: RunSpec, measures: tuple[str, ...], asked: dict[str, int]) -> bool:
    """Return whether every one of the measures is stored, intact and made by the present code as asked."""
    return all(
        store.measure_stamp(spec.id, name) == {**asked, "code": provenance.measuring_code(spec, name)}
        for name in measures
    )


def _save(store: Store, spec: RunSpec, name: str, by_step: dict[int, dict[str, Any]], stamp: dict[str, Any]) -> None:
    values: dict[str, dict[str, float | None]] = {}
    arrays: dict[str, np.ndarray] = {}
    for step, result in by_step.items():
        for key, value in result.items():
            if isinstance(value, np.ndarray):
                arrays[f"{step}/{key}"] = value if value.dtype == np.uint8 else value.astype(np.float32)
            else:
                number = float(value)
                values.setdefault(str(step), {})[key] = number if math.isfinite(number) else None
    store.save_measure(spec.id, name, {"stamp": stamp, "values": values}, arrays)
