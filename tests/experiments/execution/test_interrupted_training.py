"""A run that is killed, told to stop, or resumed under other conditions ends in the bytes of an undisturbed one."""

from __future__ import annotations

import itertools
import os
import resource
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from checkerscope.experiments.execution import checkpoints, training
from checkerscope.experiments.execution.training import Place, train_run
from checkerscope.experiments.store.runs import Store
from checkerscope.experiments.study import config, provenance, source_code
from checkerscope.experiments.study.grid import Grid
from checkerscope.experiments.study.spec import RunSpec
from checkerscope.experiments.workers.signals import start_worker

STEPS = 8
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def spec_of(path: Path, *overrides: str) -> RunSpec:
    """Return the run with a transposed convolution and seed 1."""
    return list(Grid(config.read(path, overrides), "tiny"))[-1].spec


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(str(tmp_path), "disturbed")
    place.store.prepare()
    return place


def in_child(work: Callable[[], Any]) -> int:
    """Run `work` in a forked process and return its exit code, or minus the signal that killed it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of forks beside threads
        pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        try:
            work()
            os._exit(0)
        except BaseException:
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def files(place: Place, run: str) -> dict[str, bytes]:
    folder = place.store.root / "runs" / run
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "environment.json"}


def undisturbed(spec: RunSpec, folder: Path) -> dict[str, bytes]:
    place = Place(str(folder), "undisturbed")
    place.store.prepare()
    assert train_run(spec.canonical, place)["status"] in ("done", "diverged")
    return files(place, spec.id)


@pytest.fixture
def at_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], Any]], None]:
    """Make training save its state after every step, and do something after step n."""
    monkeypatch.setattr(checkpoints, "CHECKPOINT_SECONDS", 0.0)
    look = checkpoints.TrainingObserver.__call__

    def arrange(step: int, act: Callable[[], Any], *, before: bool = False) -> None:
        def looked(self: checkpoints.TrainingObserver, now: int, state: Callable[[], dict[str, torch.Tensor]]) -> None:
            if before and now == step:
                act()
            look(self, now, state)
            if not before and now == step:
                act()

        monkeypatch.setattr(checkpoints.TrainingObserver, "__call__", looked)

    return arrange


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def nothing() -> None:
    pass


def resumed_from(spec: RunSpec, place: Place, monkeypatch: pytest.MonkeyPatch) -> int:
    """Go on with a run in this process; return the step that it went on from."""
    begun: list[int] = []
    train = training.fit.loop.train

    def watched(*arguments: Any, resume: dict[str, torch.Tensor] | None, **options: Any) -> Any:
        begun.append(int(resume["step"]) if resume else 0)
        return train(*arguments, resume=resume, **options)

    with monkeypatch.context() as patched:
        patched.setattr(training.fit.loop, "train", watched)
        assert train_run(spec.canonical, place)["status"] in ("done", "diverged")
    return begun[0]


# killed between two steps


@pytest.mark.parametrize(
    ("overrides", "steps"),
    [
        ((), range(STEPS + 1)),
        (("train.precision=float64",), [3]),
        (("train.precision=bfloat16",), [3]),
        (("train.loss=l1", "train.snapshots=[0, 2, 5]"), [1, 2, 4, 6]),
        (("train.learning_rate=1e30", "train.steps=30"), [1, 2, 10, 24]),
    ],
    ids=["every step", "float64", "bfloat16", "snapshots", "diverging"],
)
def test_a_run_killed_after_a_step_goes_on_from_that_step_to_the_same_bytes(
    overrides: tuple[str, ...],
    steps: Any,
    tiny: Path,
    tmp_path: Path,
    at_step: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = spec_of(tiny, *overrides)
    expected = undisturbed(spec, tmp_path)
    for step in steps:
        place = Place(str(tmp_path), f"killed-{step}")
        place.store.prepare()
        at_step(step, die)
        assert in_child(lambda place=place: train_run(spec.canonical, place)) == -signal.SIGKILL
        at_step(-1, nothing)
        # after the last step there is nothing left to save but the run itself
        assert resumed_from(spec, place, monkeypatch) == min(step, spec.train.steps - 1)
        assert files(place, spec.id) == expected
        assert not list((place.store.root / "work").iterdir())


def test_a_run_may_be_killed_after_each_of_its_steps_in_turn(
    tiny: Path, tmp_path: Path, place: Place, at_step: Callable[..., None]
) -> None:
    spec = spec_of(tiny)
    for step in range(1, STEPS + 1):
        at_step(step, die)
        assert in_child(lambda: train_run(spec.canonical, place)) == -signal.SIGKILL
    at_step(-1, nothing)
    assert train_run(spec.canonical, place)["status"] == "done"
    assert files(place, spec.id) == undisturbed(spec, tmp_path)


def test_checkpoints_come_every_few_seconds_and_one_is_kept(
    tiny: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, clock, kept = spec_of(tiny), itertools.count(0, 2), []
    monkeypatch.setattr(training.time, "monotonic", lambda: float(next(clock)))  # two seconds from look to look
    save = Store.save_checkpoint

    def counted(store: Store, run: str, step: int, data: bytes) -> None:
        save(store, run, step, data)
        kept.append((step, [path.name[:10] for path in store.checkpoints(run)]))

    monkeypatch.setattr(Store, "save_checkpoint", counted)
    assert checkpoints.CHECKPOINT_SECONDS == 5.0
    assert train_run(spec.canonical, place)["status"] == "done"
    assert [step for step, _ in kept] == [1, 4, 7]  # saving looks at the clock too
    assert [names for _, names in kept] == [[f"{step:010d}"] for step in (1, 4, 7)]


# told to stop


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("where", ["data", "step 0", "step 3", "step 8", "commit"])
def test_a_worker_that_is_told_to_stop_saves_what_it_can_and_ends(
    number: signal.Signals, where: str, tiny: Path, tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(tiny)

    def stop() -> None:
        os.kill(os.getpid(), number)

    def disturbed() -> None:
        start_worker()
        with monkeypatch.context() as patched:
            if where == "data":
                patched.setattr(training.build, "data", then(stop, training.build.data))
            elif where == "commit":
                patched.setattr(Store, "commit", then(stop, Store.commit))
            else:
                look = checkpoints.TrainingObserver.__call__
                patched.setattr(
                    checkpoints.TrainingObserver,
                    "__call__",
                    lambda self, step, state: (stop() if f"step {step}" == where else None, look(self, step, state)),
                )
            train_run(spec.canonical, place)

    assert in_child(disturbed) == 128 + number
    saved = place.store.checkpoints(spec.id)
    assert [int(path.name[:10]) for path in saved] == ([3] if where == "step 3" else [])
    assert place.store.is_finished(spec.id) == (where == "commit")
    train_run(spec.canonical, place)
    assert files(place, spec.id) == undisturbed(spec, tmp_path)


def then(first: Callable[[], Any], second: Callable[..., Any]) -> Callable[..., Any]:
    def both(*arguments: Any, **options: Any) -> Any:
        first()
        return second(*arguments, **options)

    return both


@pytest.mark.parametrize("number", SIGNALS)
def test_a_second_signal_ends_a_worker_at_once(
    number: signal.Signals, tiny: Path, place: Place, at_step: Callable[..., None]
) -> None:
    spec = spec_of(tiny)

    def stop_twice() -> None:
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)

    at_step(3, stop_twice, before=True)
    assert in_child(lambda: (start_worker(), train_run(spec.canonical, place))) == 128 + number
    assert [int(path.name[:10]) for path in place.store.checkpoints(spec.id)] == [2]  # not step 3: it was not saved


def test_an_idle_worker_ends_at_once() -> None:
    assert in_child(lambda: (start_worker(), os.kill(os.getpid(), signal.SIGTERM))) == 143


# begun under one condition, resumed under another


CHANGES: dict[str, dict[str, Any]] = {
    "threads": {"threads": 7},
    "torch": {"torch": "1.0"},
    "processor": {"processor": "Z80"},
    "instructions": {"cpu_capability": "DEFAULT"},
    "oneDNN": {"instructions": "ONEDNN_MAX_CPU_ISA=SSE41"},
    "numpy": {"numpy": "1.0"},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_run_begun_under_other_conditions_is_begun_again(
    change: str, tiny: Path, tmp_path: Path, place: Place, at_step: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(tiny)
    at_step(4, die)
    conditions = provenance.conditions
    with monkeypatch.context() as patched:
        patched.setattr(provenance, "conditions", lambda device: {**conditions(device), **CHANGES[change]})
        assert in_child(lambda: train_run(spec.canonical, place)) == -signal.SIGKILL
    at_step(-1, nothing)
    assert len(place.store.checkpoints(spec.id)) == 1
    assert resumed_from(spec, place, monkeypatch) == 0
    assert files(place, spec.id) == undisturbed(spec, tmp_path)


def test_a_run_begun_by_other_code_is_begun_again(
    tiny: Path, place: Place, at_step: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(tiny)
    at_step(4, die)
    with monkeypatch.context() as patched:
        patched.setattr(source_code, "training_code", lambda spec: "other")
        assert in_child(lambda: train_run(spec.canonical, place)) == -signal.SIGKILL
    at_step(-1, nothing)
    assert resumed_from(spec, place, monkeypatch) == 0
    assert place.store.environment(spec.id)["code"] == source_code.training_code(spec)


@pytest.mark.parametrize("damage", [b"", b"\x80\x04N.", b"{}", None], ids=["empty", "pickle", "JSON", "bit"])
def test_a_damaged_checkpoint_is_passed_over(
    damage: bytes | None, tiny: Path, tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(tiny)
    data = b"x" * 1000 if damage is None else damage
    place.store.save_checkpoint(spec.id, 4, data)
    if damage is None:
        place.store.checkpoints(spec.id)[0].write_bytes(b"y" + data[1:])
    assert resumed_from(spec, place, monkeypatch) == 0
    assert files(place, spec.id) == undisturbed(spec, tmp_path)


# clocks


@pytest.mark.parametrize("jump", [-1000.0, 0.0, 1e9])
def test_odd_clocks_change_nothing_but_the_durations(
    jump: float, tiny: Path, tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(tiny)
    expected = undisturbed(spec, tmp_path)
    for name in ("time", "monotonic"):
        ticks = itertools.count()
        monkeypatch.setattr(training.time, name, lambda ticks=ticks: 1e9 + jump * next(ticks))
    assert train_run(spec.canonical, place)["status"] == "done"
    assert files(place, spec.id) == expected
    assert place.store.environment(spec.id)["seconds"] >= 0
    assert place.store.environment(spec.id)["steps_per_second"] >= 0


def test_the_latest_checkpoint_is_told_by_its_step_not_by_its_time(place: Place) -> None:
    run = "0123456789ab"
    for step, year in ((7, 0), (3, 4e9)):  # 1970 and 2096
        place.store.save_checkpoint(run, step, b"state %d" % step)
        (path,) = place.store.checkpoints(run)
        path.rename(path.with_suffix(".kept"))
        os.utime(path.with_suffix(".kept"), (year, year))
    for path in (place.store.root / "work" / run).iterdir():
        path.rename(path.with_suffix(".safetensors"))
    assert place.store.load_checkpoint(run) == b"state 7"


# what a run may meet


def broken(error: BaseException) -> Callable[..., Any]:
    def raising(*arguments: Any, **options: Any) -> Any:
        raise error

    return raising


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
    (broken(ValueError("no\x1b[2J\nmore")), r"ValueError: no\?\[2J$"),
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
    at_step(-1, nothing)
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


# one process per run


def held_by_child(store: Store, run: str, ready: int) -> int:
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        with store.lock(run) as held:
            os.write(ready, b"1" if held else b"0")
            signal.pause()
    return pid


@pytest.fixture
def holder(place: Place) -> Iterator[tuple[Store, int]]:
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = held_by_child(place.store, "0123456789ab", write)
    assert os.read(read, 1) == b"1"
    yield place.store, pid
    os.close(read)
    os.close(write)


def test_the_lock_of_a_killed_process_is_free_at_once(holder: tuple[Store, int]) -> None:
    store, pid = holder
    with store.lock("0123456789ab") as held:
        assert not held
    with store.lock("0123456789ac") as held:
        assert held  # another run
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    with store.lock("0123456789ab") as held:
        assert held


def test_a_child_that_outlives_the_owner_holds_no_lock(place: Place) -> None:
    read, write = os.pipe()

    def owner() -> None:
        with place.store.lock("0123456789ab") as held:
            assert held
            pid = os.fork()
            if pid == 0:
                signal.alarm(20)
                signal.pause()
            os.write(write, str(pid).encode())

    assert in_child(owner) == 0
    with place.store.lock("0123456789ab") as held:
        assert held
    os.kill(int(os.read(read, 20)), signal.SIGKILL)


def test_a_run_that_another_process_works_on_is_left_to_it(
    holder: tuple[Store, int], tiny: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, pid = holder
    canonical = spec_of(tiny).canonical
    monkeypatch.setattr(RunSpec, "id", property(lambda self: "0123456789ab"))
    answer = train_run(canonical, place)
    assert (answer["status"], answer["why"]) == ("busy", "another process is working on it")
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_a_file_system_without_locks_halts_the_study(tiny: Path, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("checkerscope.experiments.store.disk.fcntl.lockf", broken(OSError(37, "No locks available")))
    answer = train_run(spec_of(tiny).canonical, place)
    assert answer["status"] == "halted"
    assert "lock: cannot be locked (No locks available); put --results on a file system with locks" in answer["why"]
