"""What every arm costs beside what it leaves: parameters, operations, memory, time per step, tone."""

from __future__ import annotations

import pandas as pd

from checkerscope.analysis.records import Records
from checkerscope.analysis.tables import main_results

LABEL = "Cost of every arm"
CAPTION = (
    "Whole networks. MACs: multiply-accumulates of one image's forward pass, those of convolutions and matrix products"
    " (interpolations, Fourier transforms and samplings are not counted). Memory: largest sum of tensors alive at once"
    " in one training step. Time: processor time of one training step on one core, of one machine and not reproducible;"
    " compare it within the table. Flat tone: RMS of the phase means on constant images, in image units; tone: the same"
    " of the residual on photographs, split-half noise removed; before (0) and after the few steps. Arms marked * see"
    " the encoder's features or indices."
)
NEEDS = ("machine", "tone.flat_rms")
TONES = {"flat tone 0": "flat tone at start", "flat tone": "flat tone", "tone 0": "tone at start", "tone": "tone"}


def build(records: Records) -> pd.DataFrame:
    """Return one row per arm, in config order, arms that see the encoder last; means over seeds."""
    machine = records.runs.merge(records.tables["machine"], on="run").query("status == 'done' and steps_timed > 0")
    machine["step_ms"] = 1e3 * machine["cpu_seconds"] / machine["steps_timed"]
    machine = machine.groupby("arm")[["step_memory_mb", "step_ms"]].mean()
    numbers = main_results.numbers(records)
    rows = [
        {
            "arm": row["arm"] + " *" * row["sees encoder"],
            "parameters": f"{row['parameters']:,}",
            "MACs (M)": f"{row['macs'] / 1e6:.1f}",
            "memory (MB)": f"{machine['step_memory_mb'][row['arm']]:.0f}",
            "step (ms)": f"{machine['step_ms'][row['arm']]:.0f}",
            **{column: _number(row[known]) for column, known in TONES.items() if known in row},
        }
        for _, row in numbers.iterrows()
        if row["arm"] in machine.index
    ]
    return pd.DataFrame(rows)


def _number(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:.1e}" if value else "0"
