"""What every cure leaves of the grid, on flat images and on photographs apart, and what it costs in quality."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from checkerscope.analysis.comparison import removed
from checkerscope.analysis.records import Records
from checkerscope.analysis.statistics import interval
from checkerscope.analysis.tables.main_results import cell

LABEL = "Cures"
CAPTION = (
    "Mean over seeds with 95 % t interval, everything paired by seed. Layers trained from scratch first: gone and"
    " PSNR change against the same layer without the constraint. Then cures of trained models, against the model"
    " before; steps: fine-tuning on the training images (a self-distillation takes its 200 on drawn images). Flat tone:"
    " RMS of the phase means on constant images; tone: the same on held-out photographs, content cancelled; gone: share"
    " of its power. Against longer: PSNR against the uncured model trained for as many steps more (Fold, which changes"
    " nothing)."
)
NEEDS = ("base", "tone.flat_rms", "cycled_tone.rms", "reconstruction.psnr")
FLAT, TONE, PSNR = NEEDS[1:]

#: Upsampler whose tone the others' is compared with, remedy that changes nothing, and what marks a constrained layer.
CLEAN, CONTROL, CONSTRAINED = "nearest_conv", "fold", "equal_gain_"
#: Shares of the power on flat images above this are rounding away from all of it.
ALL = 1 - 1e-6
#: Column of the raw numbers: heading and format of the table.
SHOWN: dict[str, tuple[str, Callable[[float, float, float], str]]] = {
    "flat": ("flat tone", lambda mean, low, high: cell(mean, low, high, ".1e")),
    "tone": ("tone", lambda mean, low, high: cell(mean, low, high, ".1e")),
    "ratio": ("of nearest's", lambda mean, low, high: cell(mean, low, high, ".2f")),
    "psnr": ("PSNR (dB)", lambda mean, low, high: cell(mean, low, high, ".2f")),
    "flat_gone": ("flat gone (%)", lambda mean, low, high: _percent(mean, low, high)),
    "tone_gone": ("gone (%)", lambda mean, low, high: _percent(mean, low, high)),
    "change": ("PSNR change", lambda mean, low, high: cell(mean, low, high, "+.2f").replace("± +", "± ")),
    "against_longer": ("against longer", lambda mean, low, high: cell(mean, low, high, "+.2f").replace("± +", "± ")),
}


def build(records: Records) -> pd.DataFrame:
    """Return one row per arm, formatted; `numbers` gives the raw values."""
    raw = numbers(records)
    shown = raw[["layer", "cure", "steps"]].copy()
    shown["steps"] = ["" if not steps else str(steps) for steps in raw["steps"]]
    for name, (heading, form) in SHOWN.items():
        cells = zip(raw[name], raw[f"{name}_low"], raw[f"{name}_high"], strict=True)
        shown[heading] = [form(*values) for values in cells]
    shown["MACs"] = ["-" if pd.isna(share) else f"{share:+.0%}" for share in raw["macs"]]
    return shown


def numbers(records: Records) -> pd.DataFrame:
    """Return one row per arm: layer, cure, steps, seeds, and mean, low and high over seeds of every column.

    `flat` and `tone` in image units, `ratio` of tones, `psnr` in dB, `flat_gone` and `tone_gone` as shares of power,
    `change` and `against_longer` in dB, `macs` as a share of the compared model's.
    """
    runs = _runs(records)
    return pd.DataFrame([_row(str(arm), part, runs) for arm, part in runs.groupby("arm", sort=False)])


def _runs(records: Records) -> pd.DataFrame:
    """Return the finished runs with their values, and the run that each is compared with."""
    runs = records.runs[records.runs["status"] == "done"].copy()
    for name, metric in (("flat", FLAT), ("tone", TONE), ("psnr", PSNR)):
        found = records.metric(metric).set_index("run")["value"]
        runs[name] = runs["run"].map(found)
    free = {(row["upsampler"], row["seed"]): row["run"] for row in _plain(runs) if row["cure"] == "none"}
    runs["against"] = [_against(row, free) for row in _plain(runs)]
    return runs


def _plain(runs: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in runs.to_dict("records")]


def _against(row: dict[str, Any], free: dict[tuple[str, int], str]) -> str:
    """Return the run that a run is compared with: the one that was cured, or the same layer without the constraint."""
    if row["cure"] != "none":
        return str(row["base"])
    name = str(row["upsampler"])
    return free.get((name.removeprefix(CONSTRAINED), row["seed"]), "") if name.startswith(CONSTRAINED) else ""


def _row(arm: str, part: pd.DataFrame, runs: pd.DataFrame) -> dict[str, object]:
    by_run = runs.set_index("run")
    other = by_run.reindex(part["against"])
    clean = runs[(runs["upsampler"] == CLEAN) & (runs["cure"] == "none")].set_index("seed").reindex(part["seed"])
    control = runs[(runs["cure"] == CONTROL) & (runs["steps"] == part["steps"].iloc[0])]
    control = control.drop_duplicates("base").set_index("base").reindex(part["base"])
    is_tuned = bool((part["cure"] != "none").all()) and int(part["steps"].iloc[0]) > 0
    values = {
        "flat": part["flat"].to_numpy(),
        "tone": part["tone"].to_numpy(),
        "ratio": part["tone"].to_numpy() / clean["tone"].to_numpy(),
        "psnr": part["psnr"].to_numpy(),
        "flat_gone": _gone(other["flat"], part["flat"]),
        "tone_gone": _gone(other["tone"], part["tone"]),
        "change": part["psnr"].to_numpy() - other["psnr"].to_numpy(),
        "against_longer": part["psnr"].to_numpy() - control["psnr"].to_numpy() if is_tuned else np.array([np.nan]),
    }
    base = by_run.loc[part["base"].iloc[0], "arm"] if part["base"].iloc[0] in by_run.index else arm
    cure = arm.removeprefix(str(base)).lstrip(", ")
    row: dict[str, object] = {
        "arm": arm,
        "layer": str(base),
        "cure": re.sub(r" (finetune|learning rate) [\d.e-]+", "", cure),
        "steps": int(part["steps"].iloc[0]) if cure else 0,
        "seeds": len(part),
        "macs": float((part["macs"].to_numpy() / other["macs"].to_numpy()).mean() - 1),
    }
    for name, found in values.items():
        known = interval(found[np.isfinite(found)])
        row |= {name: known.mean, f"{name}_low": known.low, f"{name}_high": known.high}
    return row


def _gone(before: pd.Series, after: pd.Series) -> np.ndarray:
    return np.array([removed(b, a) for b, a in zip(before, after, strict=True)])


def _percent(mean: float, low: float, high: float) -> str:
    if mean >= ALL:
        return "100"
    return cell(100 * mean, 100 * low, 100 * high, ".1f" if mean > -1 else ".0f")
