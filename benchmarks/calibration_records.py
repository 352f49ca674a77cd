"""From benchmarks/calibration.json to paper/data/calibration, which the paper's figure and table are made from.

python benchmarks/calibration_records.py
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from checkerscope.analysis.records import Records
from checkerscope.experiments.reporting.paper import PAPER
from checkerscope.experiments.store.records import save_records

SOURCE = Path(__file__).with_name("calibration.json")
STUDY = "calibration"
TESTS = ("across", "local", "combined")


def records(source: Path = SOURCE) -> Records:
    """Return false-positive and detection rates, one row per cell and test."""
    cells = json.loads(source.read_text())["cells"]
    rows = [_row(cell, test) for cell in cells for test in TESTS if test in cell]
    question = "How often does the grid test cry grid where there is none, and how faint a grid does it find?"
    return Records(tables={STUDY: pd.DataFrame(rows)}, study=STUDY, question=question)


def _row(cell: dict[str, object], test: str) -> dict[str, object]:
    sides = cell.get("shape", [64, 64])  # power is measured at 64 x 64
    assert isinstance(sides, list)
    period = cell.get("period", 2)
    assert isinstance(period, int)
    return {
        "kind": cell["kind"],
        "exponent": cell.get("exponent"),
        "period": period,
        "shape": "x".join(map(str, sides)),
        "periods": min(sides) // period,
        "images": cell["images"],
        "line": cell.get("line", ""),
        "level_db": cell.get("db"),
        "amplitude": cell.get("amplitude", ""),
        "draws": cell["draws"],
        "test": test,
        "rate": cell[test],
        "outside": test in cell.get("outside", ()),  # type: ignore[operator]
    }


if __name__ == "__main__":
    folder = PAPER / "data" / STUDY
    save_records(records(), folder)
    print(folder)
