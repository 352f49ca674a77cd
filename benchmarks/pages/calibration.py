"""The records of benchmarks/calibration.json, which the paper's figure and table and docs/measures.md are made from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from checkerscope.analysis.records import Records

SOURCE = Path(__file__).resolve().parents[1] / "calibration.json"
STUDY = "calibration"
TESTS = ("across", "local", "combined")


def records(source: Path = SOURCE) -> Records:
    """Return false-positive and detection rates, one row per cell and test."""
    cells = json.loads(source.read_text(encoding="utf-8"))["cells"]
    rows = [_row(cell, test) for cell in cells for test in TESTS if test in cell]
    question = "How often does the grid test cry grid where there is none, and how faint a grid does it find?"
    return Records(tables={STUDY: pd.DataFrame(rows)}, study=STUDY, question=question)


def _row(cell: dict[str, Any], test: str) -> dict[str, Any]:
    sides = cell.get("shape", [64, 64])  # power is measured at 64 x 64
    period = cell.get("period", 2)
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
        "outside": test in cell.get("outside", ()),
    }
