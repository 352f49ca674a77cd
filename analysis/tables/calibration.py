"""The calibration of `periodicity_test` in numbers: false-positive rates by kind of image, power by line and level."""

from __future__ import annotations

import pandas as pd

from checkerscope.analysis.records import Records

LABEL = "Calibration of the grid test"
CAPTION = (
    "periodicity_test at the nominal 5 %. First rows: smallest to largest false-positive rate over all periods (2, 3,"
    " 4, 8), sizes, spectra and numbers of images; outside: cells beyond their band, which is 3 to 7 % for the test"
    " across images, and at most 7 % (8.5 % below 12 periods) for the others. Last rows: share of sets of 64 x 64"
    " photographs in which an injected tone of period 2 is found by the combined test, least of both ways to scale its"
    " amplitude."
)
NEEDS = ("calibration",)
TESTS = ("across", "local", "combined")


def build(records: Records) -> pd.DataFrame:
    """Return one row per kind of clean image, then one per line, level and number of images."""
    table = records.tables[NEEDS[0]]
    clean, tones = table[table["kind"] != "power"], table[table["kind"] == "power"]
    columns = ["case", "cells", *(f"{test} (%)" for test in TESTS), "outside"]
    rows = [*_false_positives(clean), *_powers(tones)]
    return pd.DataFrame([[row.get(column, "-") for column in columns] for row in rows], columns=columns)


def _false_positives(table: pd.DataFrame) -> list[dict[str, object]]:
    rows = []
    for kind, part in table.groupby("kind", sort=False):
        row: dict[str, object] = {"case": kind, "cells": part.groupby("test").size().max()}
        for test in TESTS:
            rates = 100 * part.loc[part["test"] == test, "rate"]
            row[f"{test} (%)"] = f"{rates.min():.1f} to {rates.max():.1f}" if len(rates) else "-"
        row["outside"] = int(part["outside"].sum())
        rows.append(row)
    return rows


def _powers(table: pd.DataFrame) -> list[dict[str, object]]:
    found = table[(table["test"] == "combined") & table["images"].isin([16, 64])]
    rows = []
    for (line, level, images), part in found.groupby(["line", "level_db", "images"], sort=False):
        case = f"{line} tone at {level:.0f} dB, {images} images"
        rows.append({"case": case, "cells": len(part), "combined (%)": f"{100 * part['rate'].min():.1f}"})
    return rows
