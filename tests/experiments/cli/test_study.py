"""The whole chain, once: from a config to figures, tables and a PDF, interrupted and not."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from checkerscope.experiments.execution import training
from checkerscope.experiments.store.runs import Store
from checkerscope.experiments.study import packaged
from checkerscope.experiments.workers import local
from checkerscope.toolkit import catalog

PROJECT = Path(__file__).resolve().parents[3]
Command = Callable[..., int]

#: What a user drops into toolkit/upsamplers: it enlarges like `nearest`, with one bright corner per cell.
BRIGHT_CORNER = '''"""Every value four times, the first one a tenth brighter: a grid by design."""

from torch.nn import functional as F

from checkerscope.toolkit.contracts.upsampler import FixedUpsampler


class BrightCorner(FixedUpsampler):
    """One phase of every cell stands out."""

    label = "Bright corner"
    source = "a test"

    def enlarge(self, x, context):
        y = F.interpolate(x, scale_factor=self.scale, mode="nearest")
        weight = y.new_ones(y.shape[2:])
        weight[:: self.scale, :: self.scale] = 1.1
        return y * weight
'''


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def report(results: Path) -> Path:
    return results / "tiny" / "report" / "tiny.pdf"


def tree(*folders: Path) -> dict[str, bytes]:
    return {
        f"{f.name}/{p.relative_to(f)}": p.read_bytes() for f in folders for p in sorted(f.rglob("*")) if p.is_file()
    }


# in processes of their own, from a copy of the repository


@pytest.fixture(scope="session")
def copy(tmp_path_factory: pytest.TempPathFactory, manuscript: Path, tiny_text: str) -> Path:
    """A copy of the repository with one upsampler more, and a config that uses it."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("checkerscope", "toolkit", "analysis", "experiments"):
        shutil.copytree(PROJECT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(manuscript, folder / "paper")
    (folder / "toolkit" / "upsamplers" / "bright_corner.py").write_text(BRIGHT_CORNER)
    (folder / "tiny.toml").write_text(
        tiny_text.replace('["nearest_conv", ', '["bright_corner", ').replace("steps = 8", "steps = 40")
    )
    return folder


def start(copy: Path, name: str, workers: int) -> subprocess.Popen[str]:
    """Start the study in the copy, with results and PDF under `name`."""
    options = ["tiny.toml", "--results", name, "--output", f"{name}.pdf", "--workers", str(workers)]
    return subprocess.Popen(
        [sys.executable, "-m", "checkerscope", "study", *options],
        cwd=copy,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture(scope="session")
def twice(copy: Path) -> tuple[dict[str, bytes], dict[str, bytes], str]:
    """What the study leaves without an interruption, what it leaves after a kill -9, and what it printed."""
    whole = start(copy, "whole", workers=0)
    printed, errors = whole.communicate(timeout=120)
    assert whole.returncode == 0, errors
    left = everything(copy, "whole")
    killed = start(copy, "killed", workers=1)
    runs = copy / "killed" / "tiny" / "runs"
    deadline = time.monotonic() + 60
    while not list(runs.glob("*/run.json")) and time.monotonic() < deadline:
        time.sleep(0.005)
    killed.kill()
    killed.communicate()
    stamps = {path: path.stat().st_mtime_ns for path in runs.glob("*/run.json")}
    assert 0 < len(stamps) < 4
    again = start(copy, "killed", workers=1)
    errors = again.communicate(timeout=120)[1]
    assert again.returncode == 0, errors
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps, "a finished run was trained again"
    return left, everything(copy, "killed"), printed


def everything(copy: Path, name: str) -> dict[str, bytes]:
    found = tree(copy / name / "tiny" / "runs", copy / name / "tiny" / "records", copy / name / "tiny" / "report")
    found = {path: data for path, data in found.items() if not path.endswith("environment.json")}
    return {**found, "pdf": (copy / f"{name}.pdf").read_bytes()}


def test_kill_9_and_a_second_start_leave_the_same_bytes(twice: tuple[dict[str, bytes], dict[str, bytes], str]) -> None:
    whole, killed, _ = twice
    assert whole.keys() == killed.keys()
    assert [path for path in whole if whole[path] != killed[path] and "costs" not in path] == []


def test_a_dropped_in_file_reaches_table_figures_and_paper(
    twice: tuple[dict[str, bytes], dict[str, bytes], str], copy: Path
) -> None:
    whole, _, printed = twice
    assert "Bright corner" in printed
    assert "Transposed conv k4" in printed
    assert whole["pdf"].startswith(b"%PDF")
    table = rows(copy / "whole" / "tiny" / "report" / "tables" / "main_results.csv")
    assert [row["arm"] for row in table] == ["Bright corner", "Transposed conv k4"]
    assert float(table[0]["flat tone"].split()[0]) > 1e-3
    assert not (PROJECT / "toolkit" / "upsamplers" / "bright_corner.py").exists()
    assert rows(copy / "whole" / "tiny" / "records" / "runs.csv")[0]["upsampler"] == "bright_corner"


def test_figures_and_tables_are_built(twice: tuple[dict[str, bytes], dict[str, bytes], str]) -> None:
    whole, _, _ = twice
    drawn = ("reconstructions", "radial_spectra", "average_spectra", "overlap_maps", "artifact_by_arm")
    wanted = [f"figures/{name}{suffix}" for name in drawn for suffix in (".png", ".pdf")]
    wanted += [f"tables/{name}{suffix}" for name in ("main_results", "every_measure") for suffix in (".csv", ".tex")]
    assert {f"report/{name}" for name in wanted} <= whole.keys()


# in this process


def refuse(*arguments: object, **options: object) -> object:
    raise AssertionError("nothing was to be done")


def test_a_second_run_trains_and_measures_nothing(
    tiny: Path, results: Path, checkerscope: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(results)
    monkeypatch.setattr(local.InlineExecutor, "submit", refuse)
    assert checkerscope("run", tiny) == 0
    assert checkerscope("measure", tiny) == 0
    assert {k: v for k, v in tree(results).items() if "locks" not in k} == {
        k: v for k, v in before.items() if "locks" not in k
    }


def test_a_new_measure_is_taken_without_training(
    tiny: Path, results: Path, checkerscope: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.write_text(tiny.read_text().replace('"tone",', '"border", "tone",'))
    monkeypatch.setattr(training, "train_run", refuse)
    taken: list[str] = []
    load = catalog.load

    def watched(package: str, name: str) -> object:
        if package == "checkerscope.analysis.measures":
            taken.append(name)
        return load(package, name)

    monkeypatch.setattr(catalog, "load", watched)
    assert checkerscope("run", tiny) == checkerscope("measure", tiny) == checkerscope("collect", tiny) == 0
    assert set(taken) == {"border"}
    metrics = {row["metric"].split(".")[0] for row in rows(results / "tiny" / "records" / "values.csv")}
    assert {"border", "tone"} <= metrics


def test_the_report_is_built_from_published_records_when_results_are_gone(
    tiny: Path, results: Path, paper_folder: Path, checkerscope: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checkerscope("collect", tiny, "--publish") == 0
    assert checkerscope("paper", tiny, "--check") == 0
    shutil.rmtree(results)
    assert checkerscope("paper", tiny) == 0
    assert report(results).read_bytes().startswith(b"%PDF")
    assert "Transposed conv k4" in capsys.readouterr().out
    values = paper_folder / "data" / "tiny" / "values.csv"
    values.write_bytes(values.read_bytes().replace(b"1", b"2", 1))
    assert checkerscope("paper", tiny) == 1
    assert "values.csv: its SHA-256 differs from manifest.json" in capsys.readouterr().err


def test_a_changed_number_is_found_by_paper_check(
    tiny: Path, results: Path, paper_folder: Path, checkerscope: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    from checkerscope.experiments.store.records import load_records, save_records

    assert checkerscope("collect", tiny, "--publish") == 0
    folder = packaged.PAPER / "data" / "tiny"
    records = load_records(folder)
    records.values.loc[3, "value"] += 1e-9
    save_records(records, folder)
    assert checkerscope("paper", tiny, "--check") == 4
    assert "differs: " in capsys.readouterr().err


def test_an_unfinished_study_is_not_published(
    tiny: Path, results: Path, paper_folder: Path, checkerscope: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(next((results / "tiny" / "runs").iterdir()))
    assert checkerscope("collect", tiny, "--publish") == 2
    assert "tiny: 3 done, 1 missing of 4 runs; finish it before --publish" in capsys.readouterr().err
    assert not (paper_folder / "data").exists()


def test_a_diverged_run_is_kept_as_such_and_never_averaged(tiny: Path, checkerscope: Command, tmp_path: Path) -> None:
    options = ("--set", "grid.train.learning_rate=[2e-3, 1e30]", "--set", 'grid.upsampler=["nearest_conv"]')
    assert checkerscope("study", tiny, *options) == 0
    runs = rows(tmp_path / "results" / "tiny" / "records" / "runs.csv")
    assert [row["status"] for row in runs] == ["done", "done", "diverged", "diverged"]
    assert all(row["why"].startswith("loss or weights not finite at step ") for row in runs[2:])
    table = rows(report(tmp_path / "results").parent / "tables" / "main_results.csv")
    assert [(row["seeds"], row["diverged"]) for row in table] == [("2", "0"), ("0", "2")]
    assert "nan" not in table[0]["PSNR (dB)"]
    assert "inf" not in (tmp_path / "results" / "tiny" / "records" / "values.csv").read_text()


def test_a_study_in_which_everything_diverges_still_ends_in_a_paper(
    tiny: Path, tmp_path: Path, checkerscope: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checkerscope("study", tiny, "--set", "train.learning_rate=1e30") == 0
    assert report(tmp_path / "results").read_bytes().startswith(b"%PDF")


def test_a_failed_run_is_named_and_the_others_go_on(
    tiny: Path,
    checkerscope: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    train = training.fit.loop.train

    def fragile(model: torch.nn.Module, *arguments: object, seed: int, **options: object) -> object:
        if seed == 1:
            raise RuntimeError("the machine\nis tired")
        return train(model, *arguments, seed=seed, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(training.fit.loop, "train", fragile)
    assert checkerscope("run", tiny) == 3
    shown = capsys.readouterr()
    assert shown.out.startswith("tiny: 2 done, 2 failed of 4 runs\n")
    assert shown.out.count("RuntimeError: the machine") == 2
    store = Store(tmp_path / "results", "tiny")
    failed = [run for run in store.runs() if store.record(run)["status"] == "failed"]
    assert len(failed) == 2
    monkeypatch.setattr(training.fit.loop, "train", train)
    assert checkerscope("run", tiny) == 0
    assert capsys.readouterr().out == "tiny: 4 done of 4 runs\n"


# runs that are not there in the end


def answering(monkeypatch: pytest.MonkeyPatch, answer: Callable[[], dict[str, str]], *, seed: int) -> None:
    """Have the runs of one seed answered for, and not trained."""
    train = training.train_run

    def answered(canonical: str, place: training.Place) -> dict[str, str]:
        return answer() if f'"seed":{seed},"train"' in canonical else train(canonical, place)

    monkeypatch.setattr(training, "train_run", answered)


def lost() -> dict[str, str]:
    raise local.WorkerLost("its worker process died (signal 9)")


def test_a_study_whose_workers_are_lost_is_drawn_from_what_there_is_and_names_the_rest(
    tiny: Path, tmp_path: Path, checkerscope: Command, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    answering(monkeypatch, lost, seed=1)
    assert checkerscope("study", tiny) == 3
    err = capsys.readouterr().err
    assert err.count("WorkerLost: its worker process died (signal 9)") == 4  # as it happens, and at the end
    assert err.count(": Transposed conv k4: WorkerLost: its worker process died (signal 9), 3 times") == 2
    assert "tiny: 2 done, 2 missing of 4 runs" in err
    assert report(tmp_path / "results").is_file()
    assert {row["seed"] for row in rows(tmp_path / "results" / "tiny" / "records" / "runs.csv")} == {"0"}


def test_a_study_that_lost_every_run_says_so(
    tiny: Path, checkerscope: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(monkeypatch, lost, seed=0)
    assert checkerscope("study", tiny, "--set", "grid.seed=[0]") == 3
    assert "failed: " in capsys.readouterr().err


def test_runs_that_are_missing_in_the_end_are_no_success(
    tiny: Path, checkerscope: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(monkeypatch, lambda: {"status": "present"}, seed=1)
    assert checkerscope("run", tiny) == 3
    assert "tiny: 2 done, 2 missing of 4 runs" in capsys.readouterr().out
