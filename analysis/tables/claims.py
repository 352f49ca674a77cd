"""The verdicts of the claims: what each says, what came of running it, and what should be said instead."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from checkerscope.analysis.records import Records

LABEL = "Claims"
CAPTION = (
    "Statements of the literature, run and judged. The number is the one that says most, with its 95 % interval; n"
    " counts seeds or cases, and a number without interval is exact or single. Instead: what should be said where the"
    " statement does not hold."
)
NEEDS = ("verdicts", "measured")


def build(records: Records) -> pd.DataFrame:
    """Return one row per claim, formatted: kind, claim, source, verdict, number, instead."""
    verdicts, measured = records.tables["verdicts"], records.tables["measured"]
    numbers = {(row["claim"], row["number"]): row for row in measured.to_dict("records")}
    rows = [
        {
            "kind": row["kind"],
            "claim": row["statement"],
            "source": row["source"],
            "verdict": row["verdict"],
            "number": sentence(numbers[row["claim"], row["key"]]),
            "instead": "-" if pd.isna(row["corrected"]) or not row["corrected"] else row["corrected"],
        }
        for row in verdicts.to_dict("records")
    ]
    return pd.DataFrame(rows, columns=["kind", "claim", "source", "verdict", "number", "instead"])


def sentence(number: Mapping[Hashable, Any]) -> str:
    """Return a number with its name, interval and n.

    >>> sentence({"number": "psnr_gain", "value": 0.25, "unit": "dB", "low": 0.1, "high": 0.4, "n": 5})
    'psnr gain: 0.25 dB [0.1, 0.4], n = 5'
    """
    inside = f" [{bounds(number)}]" if bounds(number) else ""
    cases = f", n = {number['n']}" if number["n"] > 1 else ""
    return f"{number['number'].replace('_', ' ')}: {value(number)}{inside}{cases}"


def value(number: Mapping[Hashable, Any]) -> str:
    """Return value and unit; a share or ratio has none."""
    unit = "" if number["unit"] == "1" else f" {number['unit']}"
    return f"{number['value']:.3g}{unit}" if abs(number["value"]) < 1000 else f"{number['value']:,.0f}{unit}"


def bounds(number: Mapping[Hashable, Any]) -> str:
    """Return the interval, or nothing where there is none."""
    return "" if pd.isna(number["low"]) else f"{number['low']:.3g}, {number['high']:.3g}"
