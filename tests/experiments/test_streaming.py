"""Images of a stored model, a chunk at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from analysis import streaming
from analysis.spectra import mean_power
from experiments import build
from experiments.spec import RunSpec
from experiments.store import Store, StoreError
from experiments.streaming import reconstructions


def test_a_stored_model_answers_chunk_by_chunk(finished: Path) -> None:
    store, cpu = Store(finished, "tiny"), torch.device("cpu")
    run = store.runs()[0]
    spec = RunSpec.model_validate_json(store.load(run, "spec.json"))
    images = build.data(spec, "test").inputs[:10]
    parts = reconstructions(store, spec, iter(images.split(4)), device=cpu)
    first = next(parts)
    assert torch.is_grad_enabled()
    whole = torch.cat([first, *parts])
    assert [tuple(whole.shape), whole.requires_grad] == [tuple(images.shape), False]
    untrained = torch.cat(list(reconstructions(store, spec, [images], device=cpu, step=0)))
    assert (whole - images).square().mean() < (untrained - images).square().mean()  # trained weights were loaded
    streamed = streaming.mean_power(reconstructions(store, spec, images.split(3), device=cpu))
    torch.testing.assert_close(streamed, mean_power(whole), rtol=1e-4, atol=1e-9)


def test_a_missing_run_is_named(tmp_path: Path, finished: Path) -> None:
    store = Store(finished, "tiny")
    spec = RunSpec.model_validate_json(store.load(store.runs()[0], "spec.json"))
    with pytest.raises(StoreError, match="no such run"):
        next(reconstructions(Store(tmp_path, "tiny"), spec, [], device=torch.device("cpu")))
