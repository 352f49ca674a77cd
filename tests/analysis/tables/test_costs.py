"""The table of costs, from records written by hand."""

from __future__ import annotations

import pandas as pd

from checkerscope.analysis.records import Records
from checkerscope.analysis.tables import costs


def records() -> Records:
    runs = [
        ("r0", "Plain", 0, "done", 10, 1200, 2_000_000, 4, False),
        ("r1", "Plain", 1, "done", 10, 1200, 2_000_000, 4, False),
        ("r2", "Guided", 0, "done", 10, 900, 1_000_000, 4, True),
        ("r3", "Lost", 0, "diverged", 3, 900, 1_000_000, 4, False),
        ("r4", "Last", 0, "done", 10, 900, 1_500_000, 4, False),
    ]
    columns = ["run", "arm", "seed", "status", "steps", "parameters", "macs", "period", "needs_context"]
    tones = {"r0": (0.2, 0.1), "r1": (0.4, 0.3), "r2": (0.0, 0.05), "r4": (0.1, 0.1)}
    values = [(run, 10 * i, "tone.flat_rms", value) for run, pair in tones.items() for i, value in enumerate(pair)]
    machine = {
        "run": [row[0] for row in runs],
        "cpu_seconds": [1.0, 3.0, 0.5, 0.1, 0.2],
        "steps_timed": [10, 10, 5, 3, 10],  # r2 was resumed
        "step_memory_mb": [20.0, 20.0, 31.6, 1.0, 8.0],
    }
    return Records(
        runs=pd.DataFrame(runs, columns=columns),
        values=pd.DataFrame(values, columns=["run", "step", "metric", "value"]),
        tables={"machine": pd.DataFrame(machine)},
    )


def test_means_over_seeds_of_finished_runs_with_the_encoders_arms_last() -> None:
    table = costs.build(records()).set_index("arm")
    assert list(table.index) == ["Plain", "Last", "Guided *"]
    assert table.loc["Plain"].to_dict() == {
        "parameters": "1,200",
        "MACs (M)": "2.0",
        "memory (MB)": "20",
        "step (ms)": "200",
        "flat tone 0": "3.0e-01",
        "flat tone": "2.0e-01",
    }
    assert table.loc["Guided *", ["memory (MB)", "step (ms)", "flat tone 0"]].tolist() == ["32", "100", "0"]
