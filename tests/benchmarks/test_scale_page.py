"""docs/scale.md says what the committed outputs say."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.pages import scale

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_is_made_from_the_committed_numbers() -> None:
    assert (ROOT / "docs" / "scale.md").read_text(encoding="utf-8") == scale.page()


def test_the_goals_of_the_overhead_hold_in_the_committed_numbers() -> None:
    results = json.loads((ROOT / "benchmarks" / "overhead.json").read_text(encoding="utf-8"))
    dry = results["dry_run_million"]
    assert dry["cpu_seconds"] < 2
    assert dry["peak_mb"] < 200
    largest = results["grids"][max(results["grids"], key=int)]
    for kind in ("local", "dask"):
        assert largest[kind]["train_cpu_seconds_per_run"] < 0.05


def test_what_breaks_first_comes_first() -> None:
    found = {"slow": (1.0, 0.001), "fat": (0.001, 1.0), "fine": (1e-6, 1e-6)}
    said = scale.breaks(found).splitlines()
    assert said == [
        "1. `slow` takes an hour of one core from about 3,600 runs on",
        "2. `fat` needs 16 GB of memory from about 16,000 runs on",
    ]
