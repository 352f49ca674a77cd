"""What every arm costs beside what it leaves: parameters, operations, memory, time per step, tone."""

from __future__ import annotations

import pandas as pd

from analysis.records import Records
from analysis.tables import main_results

LABEL = "Cost of every arm"
CAPTION = (
    "Parameters of the whole network, multiply-accumulates of one image's forward pass, peak resident memory of the"
    " worker process, time of one training step, and the tone on constant images before and after the few steps."
    " Times and memory belong to one machine and are not part of the study's reproducible numbers."
)
NEEDS = ("machine", "tone.flat_rms")


def build(records: Records) -> pd.DataFrame:
    """Return one row per arm, in config order, means over seeds."""
    machine = records.runs.merge(records.tables["machine"], on="run").query("status == 'done'")
    speed = machine.groupby("arm", sort=False).agg(memory=("peak_memory_mb", "mean"), rate=("steps_per_second", "mean"))
    numbers = main_results.numbers(records).set_index("arm")
    rows = [
        {
            "arm": arm,
            "parameters": f"{numbers['parameters'][arm]:,}",
            "MACs (M)": f"{numbers['macs'][arm] / 1e6:.1f}",
            "memory (MB)": f"{speed['memory'][arm]:.0f}",
            "step (ms)": f"{1e3 / speed['rate'][arm]:.0f}" if speed["rate"][arm] > 0 else "-",
            "flat tone at start": _number(numbers["flat tone at start"][arm]),
            "flat tone": _number(numbers["flat tone"][arm]),
            "sees encoder": "yes" if numbers["sees encoder"][arm] else "",
        }
        for arm in records.arms
        if arm in speed.index
    ]
    return pd.DataFrame(rows)


def _number(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:.1e}"
