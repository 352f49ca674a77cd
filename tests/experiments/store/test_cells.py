"""CSV files that a spreadsheet opens: no cell from outside is a formula, and reading gives back what was put there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from checkerscope.experiments.store.cells import csv_bytes, guarded, unguarded
from checkerscope.experiments.store.records import from_files, load_records, to_files
from checkerscope.experiments.study import packaged

FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3+cmd", "@SUM(A1)", "\tx", "'quoted", '=HYPERLINK("http://x")']
PLAIN = ["-0.5", "+3 %", "-1e-3 ± 2e-4", "-", "nearest", "", "a=b", "-inf"]


@pytest.mark.parametrize("cell", FORMULAS)
def test_a_formula_is_quoted_and_comes_back(cell: str) -> None:
    assert str(guarded(cell)).startswith("'")
    assert unguarded(guarded(cell)) == cell


@pytest.mark.parametrize("cell", PLAIN)
def test_numbers_and_words_stay(cell: str) -> None:
    assert guarded(cell) == cell


def test_headings_and_numbers() -> None:
    table = pd.DataFrame({"=x": [-1.5, 2.0], "word": ["=a", "b"]})
    assert csv_bytes(table) == b"'=x,word\n-1.5,'=a\n2.0,b\n"


def test_records_come_back(finished: Path) -> None:
    records = load_records(finished / "tiny" / "records")
    strange = replace(records, runs=records.runs.assign(arm=FORMULAS[0], why=FORMULAS[1]))
    files = to_files(strange)
    assert b",=" not in files["runs.csv"]
    back = from_files(files)
    assert back.arms == FORMULAS[:1]
    assert set(back.runs["why"]) == {FORMULAS[1]}


@pytest.mark.parametrize("study", packaged.published_studies())
def test_published_records_hold_none(study: str) -> None:
    folder = packaged.published(study)
    for name, data in to_files(load_records(folder)).items():
        if name.endswith(".csv"):
            assert data.count(b"'=") == (folder / name).read_bytes().count(b"'=")
