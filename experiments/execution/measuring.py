"""What a worker does to measure one run that is trained. Pure functions of plain values; results are files."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as tensors_from_bytes

from checkerscope.analysis.trial import Trial
from checkerscope.experiments import errors
from checkerscope.experiments.errors import StoreError
from checkerscope.experiments.execution.training import Place, answer
from checkerscope.experiments.store.runs import Store, weights_name
from checkerscope.experiments.study import build, provenance
from checkerscope.experiments.study.spec import RunSpec
from checkerscope.experiments.workers.signals import saving_when_stopped
from checkerscope.toolkit import catalog
from checkerscope.toolkit.training import engine


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
                return answer(spec, "busy", "another process is working on it")
            due = tuple(name for name in measures if not is_measured(place.store, spec, (name,), asked))
            failed = _measure(spec, due, asked, place)
            return {**answer(spec, "done"), "measured": len(due), "failed": failed}
    except (OSError, StoreError) as error:
        return answer(spec, "halted", errors.one_line(error))


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
    network = build.architecture(spec, held_out).to(device)
    held_out = held_out.to(device)
    for step in record["kept"]:
        whole = [name for name in due if name not in failures]
        network.load_state_dict(tensors_from_bytes(store.load(spec.id, weights_name(step))))
        with engine.matmul_precision("float32"):  # whatever the training's was
            trial = build.trial(network.to(torch.float32), held_out, spec, margin=asked["margin"])
            for name in whole:
                try:
                    found[name][step] = _take(name, trial)
                except (Exception, SystemExit) as error:
                    failures[name] = f"{spec.id} {name} at step {step}: {errors.one_line(error)}"
    for name in due:
        if name not in failures:
            _save(store, spec, name, found[name], provenance.measure_stamp(spec, name, asked))
    return list(failures.values())


def is_measured(store: Store, spec: RunSpec, measures: tuple[str, ...], asked: dict[str, int]) -> bool:
    """Return whether every one of the measures is stored, intact and made by the present code as asked."""
    return all(store.measure_stamp(spec.id, name) == provenance.measure_stamp(spec, name, asked) for name in measures)


def _take(name: str, trial: Trial) -> dict[str, np.ndarray | float | None]:
    """Return what one measure finds, and leave everything that it was shown as it was.

    Raises:
        ValueError: If it changed any of that, which the next measure would have been shown.
    """
    shown = (trial.target, trial.reconstruction, trial.inputs, *trial.model.state_dict().values())
    kept = [tensor.detach().clone() for tensor in shown]
    try:
        return _plain(catalog.load("checkerscope.analysis.measures", name).measure(trial))
    finally:
        changed = [
            (now, then) for now, then in zip(shown, kept, strict=True) if not torch.equal(_bytes(now), _bytes(then))
        ]
        with torch.no_grad():
            for now, then in changed:
                now.copy_(then)
        if changed:
            raise ValueError(f"{name}: expected images and model as they were, got a change; let it work on copies")


def _bytes(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor's bytes: NaN equals itself here."""
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)


def _plain(result: dict[str, Any]) -> dict[str, np.ndarray | float | None]:
    """Return what a measure found as it is stored: arrays of bytes or float32, finite numbers or nothing."""
    plain: dict[str, np.ndarray | float | None] = {}
    for key, value in result.items():
        if isinstance(value, np.ndarray):
            plain[key] = value if value.dtype == np.uint8 else value.astype(np.float32)
        else:
            number = float(value)
            plain[key] = number if math.isfinite(number) else None
    return plain


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
