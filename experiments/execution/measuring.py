"""Measuring task: what a worker does to measure one trained run, as a function of plain values."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from safetensors.torch import load as tensors_from_bytes

from checkerscope.experiments import errors
from checkerscope.experiments.errors import StoreError
from checkerscope.experiments.execution import evaluate
from checkerscope.experiments.execution.training import Place, report
from checkerscope.experiments.store.runs import Store, weights_name
from checkerscope.experiments.study import build, source_code
from checkerscope.experiments.study.spec import RunSpec
from checkerscope.experiments.workers.signals import saving_when_stopped
from checkerscope.toolkit.training.devices import pick_device


@saving_when_stopped()
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
                return report(spec, "busy", "another process is working on it")
            due = tuple(name for name in measures if not is_measured(place.store, spec, (name,), asked))
            failed = _measure(spec, due, asked, place)
            return {**report(spec, "done"), "measured": len(due), "failed": failed}
    except (OSError, StoreError) as error:
        return report(spec, "halted", errors.one_line(error))


def _measure(spec: RunSpec, due: tuple[str, ...], asked: dict[str, int], place: Place) -> list[str]:
    """Take measures of every kept step, store the complete ones, and return one line per measure that failed."""
    torch.set_num_threads(place.threads)
    store = place.store
    record = store.record(spec.id)
    if not due or not record["kept"]:
        return []
    if record.get("source") not in (None, build.fingerprint(spec)):  # version 0.1.0 recorded the user's images only
        return [f"{spec.id}: its images have changed since it was trained; put them back, or choose other --results"]
    failures: dict[str, str] = {}
    device = pick_device(place.device)
    held_out = build.data(spec, "test").first(asked["images"])
    found: dict[str, dict[int, dict[str, Any]]] = {name: {} for name in due}
    network = build.architecture(spec, held_out).to(device)
    held_out = held_out.to(device)
    for step in record["kept"]:
        whole = [name for name in due if name not in failures]
        network.load_state_dict(tensors_from_bytes(store.load(spec.id, weights_name(step))))
        with evaluate.trial(spec, network, held_out, margin=asked["margin"]) as trial:
            for name in whole:
                try:
                    found[name][step] = evaluate.take(name, trial)
                except (Exception, SystemExit) as error:
                    failures[name] = f"{spec.id} {name} at step {step}: {errors.one_line(error)}"
    for name in due:
        if name not in failures:
            _save(store, spec, name, found[name], source_code.measure_stamp(spec, name, asked))
    return list(failures.values())


def is_measured(store: Store, spec: RunSpec, measures: tuple[str, ...], asked: dict[str, int]) -> bool:
    """Return whether every one of the measures is stored, intact and made by the present code as asked."""
    return all(store.measure_stamp(spec.id, name) == source_code.measure_stamp(spec, name, asked) for name in measures)


def _save(store: Store, spec: RunSpec, name: str, by_step: dict[int, dict[str, Any]], stamp: dict[str, Any]) -> None:
    values: dict[str, dict[str, float | None]] = {}
    arrays: dict[str, np.ndarray] = {}
    for step, result in by_step.items():
        for key, value in result.items():
            if isinstance(value, np.ndarray):
                arrays[f"{step}/{key}"] = value
            else:
                values.setdefault(str(step), {})[key] = value
    store.save_measure(spec.id, name, {"stamp": stamp, "values": values}, arrays)
