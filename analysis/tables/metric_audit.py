"""The metric audit in numbers: detection threshold per measure and defect, and the false-positive rate."""

from __future__ import annotations

import pandas as pd

from checkerscope.analysis.distortions import ARTIFACTS, OTHERS
from checkerscope.analysis.metric_audit import thresholds
from checkerscope.analysis.records import Records

LABEL = "Metric audit"
CAPTION = (
    "Level in dB relative to the images' contrast from which a measure flags 90 % of the image sets, interpolated"
    " between the levels tried; a dash: not even the strongest. False positives: share of clean sets of other"
    " photographs that are flagged, nominally 5 %. Confuses: what is no artifact of upsampling and is flagged at"
    " -20 dB (1 % of the power) or less."
)
NEEDS = ("metric_audit",)
#: A defect of 1 % of the images' power is one that a measure of something else should let pass.
CONFUSED_DB = -20.0


def build(records: Records) -> pd.DataFrame:
    """Return one row per measure, formatted; `numbers` gives the raw values."""
    raw = numbers(records)
    shown = raw[["measure", "origin"]].copy()
    for name in (*ARTIFACTS, *OTHERS):
        shown[f"{name} (dB)"] = ["-" if pd.isna(level) else f"{level:.0f}" for level in raw[name]]
    shown["false positives (%)"] = [f"{100 * share:.0f}" for share in raw["false_positives"]]
    shown["confuses"] = raw["confuses"]
    return shown


def numbers(records: Records) -> pd.DataFrame:
    """Return one row per measure: its origin, thresholds in dB (NaN: not seen), false positives and `confuses`."""
    table = thresholds(records.tables[NEEDS[0]])
    confused = [
        ", ".join(name for name in OTHERS if row[name] <= CONFUSED_DB) for _, row in table[list(OTHERS)].iterrows()
    ]
    return table.assign(confuses=confused)
