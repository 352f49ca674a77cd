"""What a worker does: train one run, or measure one run. Pure functions of plain values; results are files."""

from __future__ import annotations

import math
import os
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

from experiments import build, provenance
from experiments.config import RunSpec
from experiments.store import Store, StoreError
from toolkit import catalog
from toolkit.training import engine, loop

#: Seconds of training between two checkpoints.
CHECKPOINT_SECONDS = 5.0


@dataclass(frozen=True)
class Place:
    """Where and on what a task works; nothing in it changes a number."""

    results: str
    study: str
    device: str = "cpu"
    threads: int = 1

    @property
    def store(self) -> Store:
        """The study's store."""
        return Store(Path(self.results), self.study)


class _Duty:
    """What a worker process is doing, for its signal handlers: the one piece of state they share."""

    training = False
    signal_received = 0


def start_worker() -> None:
    """Make a worker process finish its step, save its state and end when it is told to stop."""

    def ask(number: int, frame: object) -> None:
        _Duty.signal_received = number
        if not _Duty.training:
            os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ask)


def weights_name(step: int) -> str:
    """Return the file name of the weights after `step` steps."""
    return f"step-{step:07d}.safetensors"


def train_run(canonical: str, place: Place) -> dict[str, Any]:
    """Train one run and commit it.

    Returns:
        `{"run": id, "status": "done" | "diverged" | "failed" | "busy" | "present", "why": ...}`; busy means that
        another process is training it.
    """
    spec = RunSpec.model_validate_json(canonical)
    store = place.store
    with store.lock(spec.id) as held:
        if not held:
            return {"run": spec.id, "status": "busy", "why": "another process is training it"}
        if store.is_complete(spec.id) and store.record(spec.id)["status"] != "failed":
            return {"run": spec.id, "status": "present", "why": ""}
        try:
            _Duty.training = True
            return _train(spec, place, store)
        except (Exception, SystemExit) as error:  # a component that calls sys.exit fails its run, not the study
            return _fail(spec, place, store, error)
        finally:
            _Duty.training = False


def _train(spec: RunSpec, place: Place, store: Store) -> dict[str, Any]:
    torch.set_num_threads(place.threads)
    device = engine.pick_device(place.device)
    data = build.data(spec, "train").to(device)
    network = build.model(spec, data).to(device)
    cost = build.cost(network, data)
    keeper = _Keeper(spec, store)
    provenance.reset_peak_memory()
    began = time.monotonic()
    saved = store.load_checkpoint(spec.id)
    resume = tensors_from_bytes(saved) if saved else None
    if resume:
        keeper.weights |= {step: w for step, w in _unpack(resume).items() if step <= int(resume["step"])}
    outcome = loop.train(
        network,
        data.inputs,
        build.recipe(spec),
        seed=spec.seed,
        targets=None if data.targets is data.inputs else data.targets,
        observe=keeper,
        resume=resume,
    )
    files = {"spec.json": spec.canonical.encode(), "history.csv": _history(outcome.losses)}
    kept = keeper.weights if outcome.status == "done" else {s: w for s, w in keeper.weights.items() if s < outcome.step}
    files |= {weights_name(step): tensors_to_bytes(weights) for step, weights in sorted(kept.items())}
    record = {"status": outcome.status, "steps": outcome.step, "why": "", "kept": sorted(kept), **cost}
    if outcome.status == "diverged":
        record["why"] = f"loss or weights not finite at step {outcome.step}"
    beside = {**provenance.environment(str(device)), **_speed(spec, time.monotonic() - began)}
    store.commit(spec.id, files, record, beside)
    return {"run": spec.id, "status": outcome.status, "why": record["why"]}


def _speed(spec: RunSpec, seconds: float) -> dict[str, Any]:
    rate = spec.train.steps / seconds if seconds > 0 else 0.0
    memory = provenance.peak_memory_mb()
    return {"seconds": seconds, "steps_per_second": rate, "peak_memory_mb": memory, "executor": "loop"}


class _Keeper:
    """Observer of a training: keeps snapshots, writes checkpoints, stops when asked."""

    def __init__(self, spec: RunSpec, store: Store) -> None:
        self.spec, self.store = spec, store
        self.weights: dict[int, dict[str, Tensor]] = {}
        self.last = time.monotonic()

    def __call__(self, step: int, state: Callable[[], dict[str, Tensor]]) -> None:
        if step in self.spec.saved_steps and step not in self.weights:
            self.weights[step] = {k[6:]: v for k, v in state().items() if k.startswith("model/")}
        due = time.monotonic() - self.last > CHECKPOINT_SECONDS
        if (due or _Duty.signal_received) and 0 < step < self.spec.train.steps:
            packed = {f"kept/{s}/{k}": v for s, weights in self.weights.items() for k, v in weights.items()}
            self.store.save_checkpoint(self.spec.id, tensors_to_bytes({**state(), **packed}))
            self.last = time.monotonic()
        if _Duty.signal_received:
            os._exit(128 + _Duty.signal_received)  # everything is on disk; the pool must not hand out another task


def _unpack(state: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    kept: dict[int, dict[str, Tensor]] = {}
    for key in [k for k in state if k.startswith("kept/")]:
        _, step, name = key.split("/", 2)
        kept.setdefault(int(step), {})[name] = state.pop(key)
    return kept


def _history(losses: Tensor) -> bytes:
    rows = [f"{step},{loss!r}" for step, loss in enumerate(losses.tolist(), 1)]
    return ("\n".join(["step,loss", *rows]) + "\n").encode()


def _fail(spec: RunSpec, place: Place, store: Store, error: BaseException) -> dict[str, Any]:
    """Commit the run as failed, with one line for people and the traceback beside it."""
    why = f"{type(error).__name__}: {error}".splitlines()[0]
    if isinstance(error, OSError | StoreError):
        return {"run": spec.id, "status": "failed", "why": why}  # the disk itself: nothing more is written
    memory = isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
    why = f"out of memory: {why}" if memory else why
    record = {"status": "failed", "steps": 0, "why": why, "kept": [], "parameters": 0, "macs": 0, "period": 0}
    files = {"spec.json": spec.canonical.encode(), "traceback.txt": traceback.format_exc().encode()}
    try:
        store.commit(spec.id, files, record, provenance.environment("cpu"))
    except OSError as second:
        why += f" (and its record could not be written: {second})"
    return {"run": spec.id, "status": "failed", "why": why}


def measure_run(run: str, measures: tuple[str, ...], stamp: dict[str, Any], place: Place) -> dict[str, Any]:
    """Take the measures of one complete run that are missing or out of date.

    Args:
        run: Run id.
        measures: Names of the measures.
        stamp: What a measured number depends on besides the run: `code`, number of `images`, `margin`.
        place: Where.

    Returns:
        `{"run": id, "measured": how many were taken, "failed": [lines]}`.
    """
    torch.set_num_threads(place.threads)
    store = place.store
    due = [name for name in measures if not is_measured(store, run, (name,), stamp)]
    record = store.record(run)
    failures: list[str] = []
    if due and record["kept"]:
        spec = RunSpec.model_validate_json(store.load(run, "spec.json"))
        held_out = build.data(spec, "test").first(stamp["images"])
        found: dict[str, dict[int, dict[str, Any]]] = {name: {} for name in due}
        network = build.model(spec, held_out)
        for step in record["kept"]:
            network.load_state_dict(tensors_from_bytes(store.load(run, weights_name(step))))
            trial = build.trial(network.to(torch.float32), held_out, spec, margin=stamp["margin"])
            for name in due:
                try:
                    found[name][step] = catalog.load("analysis.measures", name).measure(trial)
                except Exception as error:
                    failures.append(f"{run} {name} at step {step}: {type(error).__name__}: {error}")
        for name, by_step in found.items():
            if len(by_step) == len(record["kept"]):
                _save(store, run, name, by_step, stamp)
    return {"run": run, "measured": len(due), "failed": failures}


def is_measured(store: Store, run: str, measures: tuple[str, ...], stamp: dict[str, Any]) -> bool:
    """Return whether every one of the measures is stored, intact and made under the same stamp."""
    stored = (store.load_measure(run, name) for name in measures)
    return all(found is not None and found[0]["stamp"] == stamp for found in stored)


def _save(store: Store, run: str, name: str, by_step: dict[int, dict[str, Any]], stamp: dict[str, Any]) -> None:
    values: dict[str, dict[str, float | None]] = {}
    arrays: dict[str, np.ndarray] = {}
    for step, result in by_step.items():
        for key, value in result.items():
            if isinstance(value, np.ndarray):
                arrays[f"{step}/{key}"] = value if value.dtype == np.uint8 else value.astype(np.float32)
            else:
                number = float(value)
                values.setdefault(str(step), {})[key] = number if math.isfinite(number) else None
    store.save_measure(run, name, {"stamp": stamp, "values": values}, arrays)
