"""One process per run: its lock is free when the process is gone, and another one leaves the run to it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from checkerscope.experiments.execution.training import Place, train_run
from checkerscope.experiments.store.runs import Store
from checkerscope.experiments.study.spec import RunSpec
from tests.children import ending, in_child, start_child
from tests.experiments.execution.single_run import broken, spec_of


@pytest.fixture
def holder(place: Place) -> Iterator[tuple[Store, int]]:
    """A store, and the id of a process that works on one of its runs."""
    read, write = os.pipe()

    def hold() -> None:
        with place.store.lock("0123456789ab") as held:
            os.write(write, b"1" if held else b"0")
            signal.pause()

    pid = start_child(hold)
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
    ending(pid)
    with store.lock("0123456789ab") as held:
        assert held


def test_a_child_that_outlives_the_owner_holds_no_lock(place: Place) -> None:
    read, write = os.pipe()

    def owner() -> None:
        with place.store.lock("0123456789ab") as held:
            assert held
            os.write(write, str(start_child(signal.pause, seconds=20)).encode())

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
    ending(pid)


def test_a_file_system_without_locks_halts_the_study(tiny: Path, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("checkerscope.experiments.store.disk.fcntl.lockf", broken(OSError(37, "No locks available")))
    answer = train_run(spec_of(tiny).canonical, place)
    assert answer["status"] == "halted"
    assert "lock: cannot be locked (No locks available); put --results on a file system with locks" in answer["why"]
