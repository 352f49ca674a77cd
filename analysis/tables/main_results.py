"""The study's main table: every arm's artifacts and reconstruction quality, with intervals over seeds."""

from __future__ import annotations

import pandas as pd

from checkerscope.analysis.records import Records
from checkerscope.analysis.statistics import interval

LABEL = "Main results"
CAPTION = (
    "Mean over seeds with 95 % t interval. Flat tone: RMS of the phase means on constant images; tone: the same of the"
    " residual on photographs, split-half noise removed; energy: power of the residual's lattice lines over the"
    " variance of the original; after training unless said otherwise. Arms that see the encoder stand apart at the"
    " end; diverged and failed runs are counted and never averaged."
)
NEEDS = ("tone.flat_rms",)
RANK = 0
#: Column: metric, step, number format.
COLUMNS = {
    "flat tone at start": ("tone.flat_rms", "start", ".1e"),
    "flat tone": ("tone.flat_rms", "end", ".1e"),
    "tone at start": ("tone.residual_rms_unbiased", "start", ".1e"),
    "tone": ("tone.residual_rms_unbiased", "end", ".1e"),
    "energy": ("checkerboard_energy.residual", "end", ".1e"),
    "PSNR (dB)": ("reconstruction.psnr", "end", ".2f"),
    "SSIM": ("reconstruction.ssim", "end", ".3f"),
    "IoU": ("segmentation.iou", "end", ".3f"),
    "boundary IoU": ("segmentation.boundary_iou", "end", ".3f"),
}
#: Quality of the output, by the task's first column that the records have.
QUALITY = ("PSNR (dB)", "IoU")


def columns(records: Records) -> dict[str, tuple[str, str, str]]:
    """Return the columns that the records have numbers for."""
    return {column: how for column, how in COLUMNS.items() if records.has(how[0])}


def build(records: Records) -> pd.DataFrame:
    """Return one row per arm, formatted; `numbers` gives the raw values."""
    raw = numbers(records)
    shown = raw[["arm", "seeds", "parameters"]].copy()
    for column, (_, _, form) in columns(records).items():
        cells = zip(raw[column], raw[f"{column} low"], raw[f"{column} high"], strict=True)
        shown[column] = [cell(mean, low, high, form) for mean, low, high in cells]
    shown["diverged"] = raw["diverged"]
    return shown


def brief(records: Records) -> list[dict[str, str]]:
    """Return the few columns that fit a terminal."""
    table = build(records)
    keep = [column for column in ("arm", "tone", "energy", *QUALITY) if column in table]
    return [{column: str(row[column]) for column in keep} for _, row in table.iterrows()]


def findings(records: Records) -> str:
    """Return what the table says in a few sentences, made from its numbers; arms that see the encoder play no part."""
    table = numbers(records)
    if not {"tone", "tone at start"} <= set(table):
        return ""
    shown = build(records).set_index("arm")
    table = table[~table["sees encoder"] & table["tone"].notna()]
    if len(table) < 2:
        return ""
    said = []
    quality = [(column, True) for column in QUALITY if column in table]
    for column, best in (("tone", False), *quality):
        ranked = table.sort_values(column, ascending=not best, kind="stable")["arm"]
        first, last = ranked.iloc[0], ranked.iloc[-1]
        word = "highest" if best else "smallest"
        other = "lowest" if best else "largest"
        said.append(
            f"The {word} mean {column} after training has {first} ({shown[column][first]}),"
            f" the {other} {last} ({shown[column][last]})."
        )
    fell = table[(table["tone"] < table["tone at start"]) & (table["tone at start"] > 0)]
    rose = table[table["tone"] > table["tone at start"]]
    said.append(f"Training lowers the mean tone in {len(fell)} of {len(table)} arms and raises it in {len(rose)}.")
    return " ".join(said)


def numbers(records: Records) -> pd.DataFrame:
    """Return one row per arm: mean, low and high of every column, and the counts of runs."""
    tables = {column: records.metric(metric, step=step) for column, (metric, step, _) in columns(records).items()}
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


def cell(mean: float, low: float, high: float, form: str) -> str:
    """Return `mean ± half width`, or the mean alone where there is no interval."""
    if pd.isna(mean):
        return "-"
    if pd.isna(low):
        return format(mean, form)
    half = ".0e" if form.endswith("e") else form  # one digit of an uncertainty is all that it is worth
    return f"{mean:{form}} ± {(high - low) / 2:{half}}"
