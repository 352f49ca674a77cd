"""A run that fails, diverges, or meets a full disk or memory says why in one line, and leaves nothing half done."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from checkerscope.experiments.execution import training
from checkerscope.experiments.execution.training import Place, train_run
from checkerscope.experiments.store.runs import Store
from tests.children import in_child
from tests.experiments.execution.single_run import STEPS, broken, files, spec_of, undisturbed


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this works")


def allocate_too_much(*arguments: Any, **options: Any) -> Any:
    return torch.empty(10**15)


FAILURES: list[tuple[Callable[..., Any], str]] = [
    (allocate_too_much, r"out of memory: RuntimeError: .*can't allocate memory"),
    (broken(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")), "out of memory: OutOfMemoryError"),
    (broken(MemoryError()), "out of memory: MemoryError"),
    (broken(RuntimeError("DefaultCPUAllocator: not enough memory: you tried")), "out of memory: RuntimeError"),
    (broken(RuntimeError("CUDA error: out of memory")), "out of memory: RuntimeError"),
    (broken(RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling")), "out of memory: RuntimeError"),
    (broken(RuntimeError("could not create a primitive")), "out of memory: RuntimeError"),
    (broken(RuntimeError("could not create a primitive descriptor for a")), "RuntimeError: could not create a prim"),
    (broken(OSError(12, "Cannot allocate memory")), "out of memory: results: Cannot"),
    (broken(ImportError("libopenblas.so: failed to map segment from shared object")), "out of memory: ImportError"),
    (broken(ImportError("cannot import name 'Adam'")), "ImportError: cannot import"),
    (broken(ValueError("no\x1b[2J\nmore")), r"ValueError: no\\x1b\[2J$"),
    (broken(Unprintable()), "Unprintable: .it cannot be printed"),
    (broken(SystemExit(0)), "SystemExit: 0"),
    (broken(RecursionError("too deep")), "RecursionError: too deep"),
    (broken(FileNotFoundError(2, "No such file or directory", "a.png")), "a.png: No such file or directory"),
]


@pytest.mark.parametrize(("train", "why"), FAILURES, ids=[why for _, why in FAILURES])
def test_a_run_that_fails_is_stored_as_failed_with_one_line(
    train: Callable[..., Any], why: str, tiny: Path, tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(tiny)
    with monkeypatch.context() as patched:
        patched.setattr(training.fit.loop, "train", train)
        answer = train_run(spec.canonical, place)
    record = place.store.record(spec.id)
    assert (answer["status"], record["status"], record["why"]) == ("failed", "failed", answer["why"])
    with pytest.raises(RuntimeError, match=f"^{why}"):
        raise RuntimeError(answer["why"])
    assert answer["why"].isprintable()
    assert not place.store.is_finished(spec.id)
    assert train_run(spec.canonical, place)["status"] == "done"  # and is tried again, with nothing left of it
    assert files(place, spec.id) == undisturbed(spec, tmp_path)


@pytest.mark.parametrize("where", ["weights", "gradients"])
def test_nan_in_the_weights_under_a_finite_loss_is_seen(
    where: str, tiny: Path, place: Place, at_step: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, found = spec_of(tiny), []
    model = training.build.model

    def watched(*arguments: Any) -> torch.nn.Module:
        found.append(model(*arguments))
        return found[-1]

    def spoil() -> None:
        last = list(found[-1].parameters())[-1]
        if where == "weights":
            last.data.view(-1)[0] = float("nan")
        else:
            last.register_hook(lambda gradient: gradient * float("nan"))

    monkeypatch.setattr(training.build, "model", watched)
    at_step(STEPS - 1, spoil)
    assert train_run(spec.canonical, place)["status"] == "diverged"
    record = place.store.record(spec.id)
    assert (record["steps"], record["why"]) == (8, "loss or weights not finite at step 8")
    assert record["kept"] == [0]  # the spoilt weights are not kept


# the disk of a real run


def test_a_file_that_may_not_grow_halts_the_study_and_leaves_no_part_of_it(tiny: Path, place: Place) -> None:
    """A real limit of the kernel, in a process of its own."""
    spec = spec_of(tiny)

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        answer = train_run(spec.canonical, place)
        assert answer["status"] == "halted", answer
        assert "File too large" in answer["why"], answer

    assert in_child(limited) == 0
    assert place.store.runs() == []
    assert train_run(spec.canonical, place)["status"] == "done"


@pytest.mark.parametrize("spare", [0, 2**20, 2**25, 2**28])
def test_memory_that_runs_out_fails_the_run(spare: int, tiny: Path, place: Place, tmp_path: Path) -> None:
    """A real limit of the kernel, in a process of its own; what fails first depends on how much is left."""
    # no block that the process already has is as large as one of this run's
    spec = spec_of(tiny, "train.batch_size=1024", "network.width=128")
    elsewhere = Place(str(tmp_path / "elsewhere"), "study")
    elsewhere.store.prepare()

    def limited() -> None:
        train_run(spec_of(tiny).canonical, elsewhere)  # a worker has loaded its libraries
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + spare, used + spare))
        answer = train_run(spec.canonical, place)
        assert answer["status"] == "failed", answer
        assert answer["why"].startswith("out of memory: "), answer

    assert in_child(limited) == 0
    assert place.store.record(spec.id)["status"] == "failed"


@pytest.mark.parametrize("operation", ["commit", "save_checkpoint"])
def test_a_full_disk_halts_the_study_with_the_name_of_the_file(
    operation: str, tiny: Path, place: Place, at_step: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(tiny)
    with monkeypatch.context() as patched:
        patched.setattr(Store, operation, broken(OSError(28, "No space left on device", "results/x")))
        answer = train_run(spec.canonical, place)
    assert answer == {"run": spec.id, "status": "halted", "why": "results/x: No space left on device"}
    assert place.store.runs() == []


def test_a_failure_that_cannot_be_recorded_is_still_told(
    tiny: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(tiny)
    monkeypatch.setattr(training.fit.loop, "train", broken(RuntimeError("the first")))
    monkeypatch.setattr(Store, "commit", broken(OSError(28, "No space left on device")))
    answer = train_run(spec.canonical, place)
    assert answer["status"] == "halted"
    assert answer["why"].startswith("RuntimeError: the first (and its record could not be written: results: No space")
