"""Loads stored runs as models, by id or path, with the images that they were trained and are judged on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load as tensors_from_bytes
from torch import nn

from checkerscope.experiments.store.runs import Store, weights_name
from checkerscope.experiments.study import build
from checkerscope.experiments.study.build import Examples
from checkerscope.experiments.study.config import validate
from checkerscope.experiments.study.spec import RunSpec


@dataclass(frozen=True)
class StoredModel:
    """The network at the end of a stored run.

    Attributes:
        spec: Of the run.
        model: In eval mode, on the CPU.
        training: What it was trained on.
        held_out: What it is judged on.
        period: Of the grid that its decoder may leave, in pixels.
    """

    spec: RunSpec
    model: nn.Module
    training: Examples
    held_out: Examples
    period: int


def find(run: str, results: Path) -> Path:
    """Return the folder of a run that is named by its path or its id.

    Raises:
        ValueError: If there is no such run under `results`, or several.
    """
    path = Path(run)
    if (path / "run.json").is_file() and path.resolve().parent.name == "runs":
        return path.resolve()
    found = sorted(results.glob(f"*/runs/{run}")) if run.isalnum() else []
    if len(found) == 1:
        return found[0].resolve()
    if found:
        raise ValueError(f"{run}: expected one run, got {', '.join(map(str, found))}; give the path")
    raise ValueError(f"{run}: expected a run under {results} (its id, or results/STUDY/runs/ID) or MODULE:FACTORY")


def load(folder: Path) -> StoredModel:
    """Return the model of the run in a folder `results/STUDY/runs/ID`.

    Raises:
        ValueError: If the run did not end well, makes no images, or its images have changed.
        ConfigError: If what it consists of is no longer there.
        StoreError: If it is not complete and intact.
    """
    name, store = folder.name, Store(folder.parents[2], folder.parents[1].name)
    record = store.record(name)
    if record["status"] != "done":
        raise ValueError(f"{name}: expected a run that is done, got {record['status']}: {record['why']}")
    spec = validate(RunSpec, json.loads(store.load(name, "spec.json")), str(folder / "spec.json"))
    if spec.train.loss == "cross_entropy":
        raise ValueError(f"{name}: expected a run that makes images, got a segmentation")
    if record.get("source") not in (None, build.fingerprint(spec)):  # version 0.1.0 recorded the user's images only
        raise ValueError(f"{name}: its images have changed since it was trained; put them back")
    held_out = build.data(spec, "test")
    model = build.architecture(spec, held_out)
    model.load_state_dict(tensors_from_bytes(store.load(name, weights_name(record["steps"]))))
    return StoredModel(spec, model.eval(), build.data(spec, "train"), held_out, int(record["period"]))
