"""One slot per device: which worker sees which GPU. No GPU is needed: devices are counted by a stand-in for torch."""

from __future__ import annotations

import os

import pytest
import torch

from checkerscope.experiments.workers import local


@pytest.fixture
def four_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def count() -> int:  # as torch does it: what the variable lets through
        named = os.environ.get("CUDA_VISIBLE_DEVICES")
        return 4 if named is None else len([name for name in named.split(",") if name])

    monkeypatch.setattr(torch.cuda, "device_count", count)


def seen(count: int, device: str) -> list[str | None]:
    pool = local.local(count, device)
    pool.shutdown()
    return [worker.environment.get("CUDA_VISIBLE_DEVICES") for worker in pool._workers]


@pytest.mark.usefixtures("four_gpus")
def test_every_worker_gets_a_gpu_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    assert local.default_workers("cuda") == local.default_workers("auto") == 4
    assert seen(4, "cuda") == ["0", "1", "2", "3"]
    assert seen(6, "auto") == ["0", "1", "2", "3", "0", "1"]
    assert seen(2, "cuda:1") == [None, None], "a named device is everybody's"
    assert seen(2, "cpu") == [None, None]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5, GPU-8f6f, 7")
    assert local.default_workers("cuda") == 3
    assert seen(4, "cuda") == ["5", "GPU-8f6f", "7", "5"]


def test_a_variable_without_gpus_gives_one_worker_per_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert local.gpus("auto") == []
    assert local.default_workers("auto") == len(os.sched_getaffinity(0))


@pytest.mark.usefixtures("four_gpus")
def test_a_worker_sees_its_own_gpu_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    pool = local.local(1, "cuda")
    assert pool.submit(os.getenv, "CUDA_VISIBLE_DEVICES").result(timeout=120) == "2"
    assert pool.submit(os.getenv, "OMP_NUM_THREADS").result(timeout=120) == "1"
    pool.shutdown()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "2,3"
