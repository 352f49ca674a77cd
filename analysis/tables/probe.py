"""The decoder probe against photographs, arm by arm: tone on flat latents, flat images and photographs, apart."""

from __future__ import annotations

import pandas as pd

from checkerscope.analysis.measures.decoder_probe import DIRTY
from checkerscope.analysis.records import Records
from checkerscope.analysis.statistics import interval
from checkerscope.analysis.tables.main_results import cell

LABEL = "Decoder probe by arm"
CAPTION = (
    "Tone RMS in image units after training, mean over seeds with 95 % t interval: of the decoder alone on the latents"
    " of constant images (probe), on constant images (flat), and on held-out photographs with the content cancelled by"
    " showing every pixel at every phase and split-half noise removed (photographs). Dirty: models above the rounding"
    " error of 8-bit images, 1.1e-3, by the probe and on photographs."
)
NEEDS = ("decoder_probe.rms", "cycled_tone.rms_unbiased")
METRICS = {"probe": NEEDS[0], "flat": "tone.flat_rms", "photographs": NEEDS[1]}


def models(records: Records) -> pd.DataFrame:
    """Return one row per finished model that has every reading: `arm`, `seed`, and a column per entry of `METRICS`."""
    tables = [
        records.metric(metric)[["run", "arm", "seed", "value"]].rename(columns={"value": column})
        for column, metric in METRICS.items()
    ]
    joined = tables[0]
    for table in tables[1:]:
        joined = joined.merge(table[["run", table.columns[-1]]], on="run")
    return joined.dropna().drop(columns="run").reset_index(drop=True)


def build(records: Records) -> pd.DataFrame:
    """Return one row per arm, formatted."""
    rows = []
    for arm, part in models(records).groupby("arm", sort=False):
        row: dict[str, object] = {"arm": arm, "models": len(part)}
        for column in METRICS:
            found = interval(part[column])
            row[column] = cell(found.mean, found.low, found.high, ".1e")
        for column, title in (("probe", "dirty by probe"), ("photographs", "dirty on photographs")):
            row[title] = int((part[column] > DIRTY).sum())
        rows.append(row)
    return pd.DataFrame(rows)
