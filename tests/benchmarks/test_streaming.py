"""A stored model's images, a chunk at a time, and the spectrum of a stream: never more than one chunk in memory."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks.harness.streaming import mean_power, reconstructions
from checkerscope.analysis import spectra
from checkerscope.experiments.errors import StoreError
from checkerscope.experiments.store.runs import Store
from checkerscope.experiments.study import build
from checkerscope.experiments.study.spec import RunSpec


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
    streamed = mean_power(reconstructions(store, spec, images.split(3), device=cpu))
    torch.testing.assert_close(streamed, spectra.mean_power(whole), rtol=1e-4, atol=1e-9)


def test_a_missing_run_is_named(tmp_path: Path, finished: Path) -> None:
    store = Store(finished, "tiny")
    spec = RunSpec.model_validate_json(store.load(store.runs()[0], "spec.json"))
    with pytest.raises(StoreError, match="no such run"):
        next(reconstructions(Store(tmp_path, "tiny"), spec, [], device=torch.device("cpu")))


def test_a_stream_gives_what_all_images_give() -> None:
    images = torch.rand(50, 2, 12, 16, generator=torch.Generator().manual_seed(0))
    chunks = iter(images.split(7))  # the last one is smaller
    torch.testing.assert_close(mean_power(chunks), spectra.mean_power(images), rtol=1e-12, atol=0)


def test_a_stream_holds_one_chunk_at_a_time() -> None:
    alive: list[weakref.ref[Tensor]] = []
    most = 0

    def chunks() -> Iterator[Tensor]:
        nonlocal most
        for _ in range(200):
            chunk = torch.zeros(500, 1, 8, 8)
            alive.append(weakref.ref(chunk))
            most = max(most, sum(each() is not None for each in alive))
            yield chunk
            del chunk

    assert mean_power(chunks()).abs().max() == 0
    assert len(alive) * 500 == 100_000
    assert most <= 2  # the one that is made, while the last one is still named


def test_what_is_no_stream_of_images_is_refused() -> None:
    with pytest.raises(ValueError, match="chunks: expected one or more, got 0"):
        mean_power(iter(()))
    with pytest.raises(ValueError, match=r"chunk: expected images of shape \(1, 8, 8\), got \(1, 8, 10\)"):
        mean_power([torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 10)])
    with pytest.raises(ValueError, match="finite"):
        mean_power([torch.full((1, 1, 8, 8), float("nan"))])
