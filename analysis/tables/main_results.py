"""The study's main table: every arm's artifacts and reconstruction quality, with intervals over seeds."""

from __future__ import annotations

import pandas as pd

from analysis.records import Records
from analysis.statistics import interval

LABEL = "Main results"
CAPTION = (
    "Mean over seeds with 95 % t interval. Tone: RMS of the phase means on constant images; energy: power of the"
    " residual's lattice lines over the variance of the image; both after training, tone also before. Arms that see"
    " the encoder stand apart at the end; diverged and failed runs are counted and never averaged."
)
#: Column: metric, step, number format.
COLUMNS = {
    "tone at start": ("tone.flat_rms", "start", ".1e"),
    "tone": ("tone.flat_rms", "end", ".1e"),
    "energy": ("checkerboard_energy.residual", "end", ".1e"),
    "PSNR (dB)": ("reconstruction.psnr", "end", ".2f"),
    "SSIM": ("reconstruction.ssim", "end", ".3f"),
}


def build(records: Records) -> pd.DataFrame:
    """Return one row per arm, formatted; `numbers` gives the raw values."""
    raw = numbers(records)
    shown = raw[["arm", "seeds", "parameters"]].copy()
    for column, (_, _, form) in COLUMNS.items():
        cells = zip(raw[column], raw[f"{column} low"], raw[f"{column} high"], strict=True)
        shown[column] = [_cell(mean, low, high, form) for mean, low, high in cells]
    shown["diverged"] = raw["diverged"]
    return shown


def numbers(records: Records) -> pd.DataFrame:
    """Return one row per arm: mean, low and high of every column, and the counts of runs."""
    tables = {column: records.metric(metric, step=step) for column, (metric, step, _) in COLUMNS.items()}
    rows = []
    for arm, runs in records.runs.groupby("arm", sort=False):
        row = {
            "arm": arm,
            "sees encoder": bool(runs["needs_context"].astype(bool).any()),
            "seeds": int((runs["status"] == "done").sum()),
            "diverged": int((runs["status"] == "diverged").sum()),
            "failed": int((runs["status"] == "failed").sum()),
            "parameters": int(runs["parameters"].max()),
            "macs": int(runs["macs"].max()),
        }
        for column, table in tables.items():
            found = interval(table.loc[table["arm"] == arm, "value"].dropna())
            row |= {column: found.mean, f"{column} low": found.low, f"{column} high": found.high}
        rows.append(row)
    return pd.DataFrame(rows).sort_values("sees encoder", kind="stable").reset_index(drop=True)


def _cell(mean: float, low: float, high: float, form: str) -> str:
    if pd.isna(mean):
        return "-"
    if pd.isna(low):
        return format(mean, form)
    return f"{mean:{form}} ± {(high - low) / 2:{form}}"
