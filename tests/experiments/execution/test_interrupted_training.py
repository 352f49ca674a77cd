"""A run that is killed, told to stop, or resumed under other conditions ends in the bytes of an undisturbed one."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from checkerscope.experiments.execution import checkpoints, training
from checkerscope.experiments.execution.training import Place, train_run
from checkerscope.experiments.store.runs import Store
from checkerscope.experiments.study import provenance, source_code
from checkerscope.experiments.study.spec import RunSpec
from checkerscope.experiments.workers.signals import start_worker
from tests.children import in_child
from tests.experiments.execution.single_run import STEPS, files, spec_of, undisturbed

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


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
