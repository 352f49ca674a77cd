"""Pages made from committed outputs are up to date, and a benchmark writes only where it is told to."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.harness import output
from benchmarks.pages import calibration, markdown, measures, performance
from checkerscope.experiments.store.records import save_records

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_on_speed_is_made_from_the_committed_numbers() -> None:
    found = report.load(ROOT / "benchmarks")
    assert set(found) == {"cpu", "growth", "overhead", "precision", "gpu"}
    assert (ROOT / "docs" / "performance.md").read_text(encoding="utf-8") == performance.page(found)


def test_the_page_on_measures_is_made_from_the_committed_numbers() -> None:
    values = json.loads((ROOT / "benchmarks" / "measures.json").read_text(encoding="utf-8"))
    assert (ROOT / "docs" / "measures.md").read_text(encoding="utf-8") == measures.page(values)


def test_the_records_of_the_calibration_are_made_from_the_committed_numbers(tmp_path: Path) -> None:
    save_records(calibration.records(), tmp_path)
    committed = ROOT / "paper" / "data" / "calibration"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        path.name: path.read_bytes() for path in committed.iterdir()
    }


def test_a_table_keeps_its_columns() -> None:
    assert markdown.table(("a", "b"), [("1 | 2", 3)]).splitlines()[2] == "| 1 \\| 2 | 3 |"


def test_results_go_where_they_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output.finish({"answer": 42}, tmp_path / "folder", "named")
    assert json.loads((tmp_path / "folder" / "named.json").read_text())["answer"] == 42
    assert capsys.readouterr().out == ""
    output.finish({"answer": 42}, tmp_path / "file.json", "named")
    assert json.loads((tmp_path / "file.json").read_text())["answer"] == 42
    before = sorted(tmp_path.rglob("*"))
    capsys.readouterr()
    output.finish({"answer": 42}, None, "named")
    printed = json.loads(capsys.readouterr().out)
    assert printed["answer"] == 42
    assert "host" not in printed["environment"]
    assert sorted(tmp_path.rglob("*")) == before


COMMANDS = sorted(
    path.name
    for path in (ROOT / "benchmarks").glob("*.py")
    if "__main__" in path.read_text(encoding="utf-8") and path.name != "audit_examples.py"
)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_how_it_is_called(name: str, tmp_path: Path) -> None:
    """From another folder, where `benchmarks` is not on the path."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / name), "--help"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout
