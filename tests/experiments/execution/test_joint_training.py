"""Runs that differ by their seeds only, trained together and committed one by one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from checkerscope.experiments.errors import StoreError
from checkerscope.experiments.execution import checkpoints, joint_training
from checkerscope.experiments.store.runs import Store
from checkerscope.experiments.study import source_code
from checkerscope.experiments.study.spec import RunSpec
from checkerscope.experiments.workers import scheduler
from checkerscope.experiments.workers.local import InlineExecutor
from checkerscope.experiments.workers.scheduler import Call
from checkerscope.toolkit.training.choice import Choice

Command = Callable[..., int]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results", "tiny")


def runs(store: Store) -> dict[tuple[str, int], Path]:
    """Return the run folders by upsampler and seed."""
    found = {}
    for run in store.runs():
        spec = json.loads(store.load(run, "spec.json"))
        found[spec["upsampler"]["name"], spec["seed"]] = store.root / "runs" / run
    return found


def test_joined_runs_are_what_they_are_alone(checkerscope: Command, tiny: Path, store: Store, finished: Path) -> None:
    assert checkerscope("run", tiny, "--engine", "grouped") == 0
    joined, alone = runs(store), runs(Store(finished, "tiny"))
    assert joined.keys() == alone.keys()
    for key, folder in joined.items():
        assert folder.name == alone[key].name  # the engine is no part of a run's id
        assert (folder / "spec.json").read_bytes() == (alone[key] / "spec.json").read_bytes()
        ours, theirs = (load_file(each / "step-0000008.safetensors") for each in (folder, alone[key]))
        assert all(torch.allclose(ours[name], theirs[name], atol=1e-5) for name in theirs)
        beside = store.environment(folder.name)
        assert (beside["engine"], beside["models"], beside["engine_why"]) == ("grouped", 2, "asked for")
    assert checkerscope("measure", tiny) == 0


def test_one_that_is_there_already_is_not_trained_again(checkerscope: Command, tiny: Path, store: Store) -> None:
    assert checkerscope("run", tiny, "--set", "grid.seed=[1]") == 0
    before = {run: (store.root / "runs" / run / "run.json").stat().st_mtime_ns for run in store.runs()}
    assert checkerscope("run", tiny, "--engine", "grouped") == 0
    after = {run: (store.root / "runs" / run / "run.json").stat().st_mtime_ns for run in store.runs()}
    assert len(after) == 4
    assert after.items() >= before.items()


def test_a_stopped_group_goes_on_to_the_same_bytes(
    checkerscope: Command, tiny: Path, store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    look, saved = checkpoints.TrainingObserver.look, []

    def stopped(self: Any, step: int, state: Any, *, save: bool) -> None:
        look(self, step, state, save=save)
        if step == 5:
            saved.append(self.spec.id)
            if len(saved) == 2:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "CHECKPOINT_SECONDS", 0)
        patch.setattr(checkpoints.TrainingObserver, "look", stopped)
        checkerscope("run", tiny, "--engine", "grouped")
    assert not store.runs()
    steps = []
    with monkeypatch.context() as patch:
        patch.setattr(
            checkpoints.TrainingObserver,
            "look",
            lambda self, step, state, **k: (steps.append(step), look(self, step, state, **k)),
        )
        assert checkerscope("run", tiny, "--engine", "grouped") == 0
    assert steps[0] == 5
    went_on = {key: (folder / "run.json").read_bytes() for key, folder in runs(store).items()}
    store.root.rename(tmp_path / "first")
    assert checkerscope("run", tiny, "--engine", "grouped") == 0
    assert went_on == {key: (folder / "run.json").read_bytes() for key, folder in runs(store).items()}


def test_states_of_different_steps_are_begun_again() -> None:
    class Observer:
        def __init__(self, step: int) -> None:
            self.step, self.weights = step, {0: {}}

        def resume(self) -> dict[str, torch.Tensor]:
            return {"step": torch.tensor(self.step)}

    members = [joint_training.Member(torch.nn.Identity(), seed) for seed in (0, 1)]
    observers = [Observer(3), Observer(4)]
    assert joint_training._resumed(members, observers) == members
    assert [observer.weights for observer in observers] == [{}, {}]
    resumed = joint_training._resumed(members, [Observer(3), Observer(3)])
    assert [member.resume["step"] for member in resumed if member.resume] == [3, 3]


def test_what_cannot_be_joined_fails_by_name(checkerscope: Command, tiny: Path, store: Store) -> None:
    assert checkerscope("run", tiny, "--engine", "grouped", "--set", 'grid.upsampler=["carafe"]') == 3
    whys = {store.record(run)["why"] for run in store.runs()}
    assert whys == {"ValueError: engine: grouped: autoencoder with carafe mixes channels outside of its convolutions"}


def test_auto_trains_them_one_by_one_where_the_loop_is_faster(
    tiny: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from checkerscope.experiments.execution.session import Session

    session = Session.open(tiny, (), store.root.parent, count=0, device="auto")
    monkeypatch.setattr(joint_training.choice, "choose", lambda *_, **__: Choice("loop", "faster"))
    session.store.prepare()
    calls = list(session._training(session.runs()))
    assert [len(call.others) for call in calls] == [1, 1]
    answers = calls[0].function(*calls[0].arguments)
    assert answers["status"] == "done"
    assert [answer["status"] for answer in answers["runs"].values()] == ["done", "done"]
    assert {store.environment(run)["engine"] for run in store.runs()} == {"loop"}


def test_a_graph_without_a_gpu_is_refused(
    checkerscope: Command, tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checkerscope("run", tiny, "--engine", "graph") == 2
    assert "engine: graph: expected a CUDA device, got cpu; use --engine loop" in capsys.readouterr().err


def test_tf32_without_a_gpu_is_refused(
    checkerscope: Command, tiny: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checkerscope("run", tiny, "--set", "train.precision=tf32") == 2
    assert "precision: tf32: expected a CUDA device, got cpu; use float32" in capsys.readouterr().err
    assert not store.runs()


def test_the_runner_reports_every_run_of_a_group() -> None:
    def work(status: str) -> dict[str, Any]:
        if status == "raises":
            raise OSError("gone")
        return {
            "status": status,
            "why": "full",
            "runs": {"a": {"status": "done"}, "b": {"status": "failed", "why": "x"}},
        }

    seen: list[str] = []

    def execute(status: str) -> scheduler.Summary:
        call = Call("a", work, (status,), ("b",))
        return scheduler.execute([call], InlineExecutor(), window=1, done=lambda key, _: seen.append(key))

    assert execute("done").failures() == ["b: x"]
    assert execute("raises").failures() == ["a: OSError: gone", "b: OSError: gone"]
    assert seen == ["a", "b", "a", "b"]
    with pytest.raises(StoreError, match="a: full"):
        execute("halted")


def test_a_busy_run_sends_the_group_to_the_back(tiny: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    import contextlib

    from checkerscope.experiments.execution.session import Session

    session = Session.open(tiny, (), store.root.parent, count=0, engine="grouped")
    session.store.prepare()
    call = next(session._training(session.runs()))
    other = RunSpec.model_validate_json(call.arguments[0][1]).id
    lock = Store.lock
    held = lambda self, run: contextlib.nullcontext(False) if run == other else lock(self, run)  # noqa: E731
    monkeypatch.setattr(Store, "lock", held)
    answers = call.function(*call.arguments)
    assert answers["status"] == "busy"
    assert {run: answer["status"] for run, answer in answers["runs"].items()} == {call.key: "done", other: "busy"}


def test_a_group_that_cannot_be_locked_halts_and_is_no_failed_run(tiny: Path, store: Store) -> None:
    from checkerscope.experiments.execution.session import Session

    session = Session.open(tiny, (), store.root.parent, count=0, engine="grouped")
    session.store.prepare()
    (store.root / "lock").unlink(missing_ok=True)
    (store.root / "lock").mkdir()
    call = next(session._training(session.runs()))
    answers = call.function(*call.arguments)
    assert answers["status"] == "halted"
    assert answers["why"].startswith(f"{store.root / 'lock'}: ")
    assert not store.runs()


def test_what_was_trained_together_is_compared_with_the_engine_that_trained_it(
    checkerscope: Command, tiny: Path, store: Store, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert checkerscope("run", tiny, "--engine", "grouped") == 0
    assert checkerscope("run", tiny, "--engine", "grouped", "--strict") == 0
    codes = {store.environment(run)["code"] for run in store.runs()}
    monkeypatch.setattr(source_code, "training_code", lambda spec, engine="loop": f"other {engine}")
    assert checkerscope("run", tiny, "--engine", "grouped", "--strict") == 2
    shown = capsys.readouterr().err
    assert all(f"made with code {code}, now other grouped" in shown for code in codes)
