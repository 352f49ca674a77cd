"""One study in several processes that know nothing of each other, and the job array that starts them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from checkerscope.experiments.__main__ import run
from checkerscope.experiments.execution.session import Session
from checkerscope.experiments.study import config
from checkerscope.experiments.study.grid import Grid
from checkerscope.experiments.study.spec import RunSpec

Command = Callable[..., int]
PROJECT = Path(__file__).resolve().parents[3]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_two_shards_and_a_collect_give_the_bytes_of_one_process(
    tiny: Path, finished: Path, checkerscope: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checkerscope("study", tiny, "--shard", "2/2") == 0
    assert capsys.readouterr().out == "shard 2/2 of tiny has ended; when all have, run this without --shard\n"
    assert checkerscope("status", tiny) == 0
    assert capsys.readouterr().out == "tiny: 2 done, 2 missing of 4 runs\n"
    assert checkerscope("run", tiny, "--shard", "1/2") == 0
    assert checkerscope("measure", tiny, "--shard", "1/2") == 0
    assert checkerscope("collect", tiny) == 0
    assert files(tmp_path / "results" / "tiny" / "records") == files(finished / "tiny" / "records")


@pytest.mark.parametrize("count", [1, 2, 5, 7, 24, 30])
def test_shards_share_out_the_grid(count: int, tmp_path: Path) -> None:
    path = PROJECT / "configs" / "quick.toml"
    grid = Grid(config.read(path), str(path))
    whole = [(run.spec.id, run.arm, run.factors) for run in grid]
    sessions = [Session.open(path, (), tmp_path, shard=f"{index}/{count}") for index in range(1, count + 1)]
    parts = [[(run.spec.id, run.arm, run.factors) for run in session.runs()] for session in sessions]
    assert [len(session) for session in sessions] == [len(part) for part in parts]
    assert [part[i] for i in range(len(parts[0])) for part in parts if i < len(part)] == whole
    assert len(grid) == len(whole) == 24


def test_a_seed_that_was_copied_in_gives_the_id_of_one_that_was_validated(tmp_path: Path) -> None:
    path = PROJECT / "configs" / "quick.toml"
    for spec in (each.spec for each in Grid(config.read(path), str(path))):
        again: Any = RunSpec.model_validate_json(spec.canonical)
        assert (again, again.id) == (spec, spec.id)


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "1/0", "-1/2", "1/2/3", "a/b", "1.0/2", "1/9999999999"])
def test_a_bad_shard_is_refused_in_one_line(text: str, tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", str(tiny), "--shard", text]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"error: --shard: expected I/N with I from 1 to N, such as 1/4, got {text!r}"


def test_a_shard_of_a_large_grid_may_start(tiny: Path, tmp_path: Path) -> None:
    large = (f"grid.seed={list(range(101))}", f"grid.train.batch_size={list(range(1, 101))}")
    with pytest.raises(ValueError, match="20200 runs; pass --yes"):
        Session.open(tiny, large, tmp_path).train()
    assert len(Session.open(tiny, large, tmp_path, shard="201/1000")) == 20
    assert len(Session.open(tiny, large, tmp_path, shard="200/1000")) == 21


def test_the_job_array_is_a_script_for_bash(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "it's a folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    options = ["--results", "here", "--set", "study.question=Is it 'so'?", "--jobs", "3", "--threads", "2"]
    assert run(["slurm-script", str(tiny), *options, "--memory", "3G", "--time", "00:10:00"]) == 0
    script = capsys.readouterr().out
    head, *directives = [line for line in script.splitlines() if line.startswith(("#!", "#SBATCH"))]
    assert head == "#!/bin/bash"
    assert {"#SBATCH --job-name=checkerscope-tiny", "#SBATCH --array=1-3", "#SBATCH --cpus-per-task=2"} <= {*directives}
    assert {"#SBATCH --mem=3G", "#SBATCH --time=00:10:00"} <= {*directives}
    # what bash makes of the last line, with a program in place of Python that shows its arguments
    shown = script.replace("exec ", "printf '%s\\n' ")
    done = subprocess.run(["bash", "-c", shown], env={"SLURM_ARRAY_TASK_ID": "2"}, capture_output=True, text=True)
    words = done.stdout.splitlines()[1:]
    assert words[:6] == ["-m", "checkerscope", "study", str(tiny), "--results", str(folder / "here")]
    assert words[6:] == [
        *("--set", "study.question=Is it 'so'?"),
        *("--workers", "1", "--threads", "2", "--shard", "2/3"),
    ]


@pytest.mark.parametrize(
    ("override", "folder"),
    [
        ("grid.seed=[\n0,\n1]", "results"),
        ("study.question=It's \\n so?", "\u00fc'\udcff\n"),
        ("scale=2", "a\rb\u2028c"),
    ],
)
def test_the_job_array_is_one_line_of_ascii_per_command(
    override: str,
    folder: str,
    tiny: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = tmp_path / folder
    place.mkdir()
    monkeypatch.chdir(place)
    assert run(["slurm-script", str(tiny), "--results", str(place), "--set", override, "--jobs", "2"]) == 0
    script = capsys.readouterr().out
    assert script.isascii()
    lines = script.split("\n")
    last = max(number for number, line in enumerate(lines) if line.startswith("#SBATCH"))
    assert all(line.startswith("#") for line in lines[:last])
    shown = script.replace("exec ", "printf '%s\\0' \"$PWD\" ")
    done = subprocess.run(["bash", "-c", shown], env={"SLURM_ARRAY_TASK_ID": "2"}, capture_output=True)
    words = [os.fsdecode(word) for word in done.stdout.split(b"\0")]
    assert words[0] == str(place)
    assert words[7:10] == [str(place), "--set", override]


@pytest.mark.parametrize(
    ("option", "good", "bad"),
    [
        ("--memory", ["500", "500M", "2g", "0"], ["", "2 G", "2GiB", "-1", "2G\n", "2G\n#SBATCH --uid=0", "1.5G"]),
        (
            "--time",
            ["30", "30:00", "04:00:00", "2-12", "2-12:30", "2-12:00:00", "UNLIMITED"],
            ["", "4h", "1:2:3:4", "-5", "04:00:00\n", "1-", "a"],
        ),
    ],
)
def test_a_size_must_be_one_that_slurm_reads(
    option: str, good: list[str], bad: list[str], tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for text in good:
        assert run(["slurm-script", str(tiny), "--jobs", "2", option, text]) == 0
    capsys.readouterr()
    for text in bad:
        assert run(["slurm-script", str(tiny), "--jobs", "2", option, text]) == 2
        out, err = capsys.readouterr()
        (line,) = err.splitlines()
        assert not out
        assert line.startswith(f"error: {option}: expected a ")
        assert line.endswith(f", got {text!r}")


@pytest.mark.parametrize(("jobs", "most"), [("5", 4), ("0", 4)])
def test_more_jobs_than_runs_are_refused(jobs: str, most: int, tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["slurm-script", str(tiny), "--jobs", jobs]) == 2
    shown = capsys.readouterr().err.splitlines()[-1]
    assert f"--jobs: expected 1 to {most} for 4 runs, got {jobs}" in shown or "is not in the range x>=1" in shown
