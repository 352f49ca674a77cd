"""Which numbers of a claim form a picture, as the claim's file declares: the table that the figure is drawn from.

`PICTURE`, a literal of a claim's file, says how its numbers are drawn:

    title, x, y     of the panel and its axes
    series          label of each series to the name of its numbers, `{}` where the position on the x axis stands
    log             the x axis is logarithmic, with room for 0 (optional)
    line            the points of a series are joined (optional)
    filled          only marks at multiples of this are filled (optional)
"""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

from checkerscope.experiments.verdicts.contract import PACKAGE
from checkerscope.toolkit import catalog

COLUMNS = ("claim", "title", "x_label", "y_label", "log", "line", "series", "number", "x", "filled")


def pictured(measured: pd.DataFrame) -> pd.DataFrame:
    """Return one row per number that a claim puts into its picture, in the order of claims, series and positions.

    Args:
        measured: The numbers of all claims, with columns `claim` and `number`.
    """
    declared = {one.name: one.flags["picture"] for one in catalog.describe(PACKAGE) if "picture" in one.flags}
    rows = []
    for claim, numbers in measured.groupby("claim", sort=False)["number"]:
        picture = declared.get(str(claim), {"series": {}})
        for series, name in picture["series"].items():
            found = sorted((x, number) for number in numbers if (x := _position(name, number)) is not None)
            rows += [_row(str(claim), picture, series, number, x) for x, number in found]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _position(name: str, number: str) -> int | None:
    """Return the integer that stands in a number's name where the series has `{}`; None if it is no number of it."""
    match = re.fullmatch(re.escape(name).replace(r"\{\}", r"(\d+)"), number)
    return int(match[1]) if match else None


def _row(claim: str, picture: dict[str, Any], series: str, number: str, x: int) -> dict[str, Any]:
    return {
        "claim": claim,
        "title": picture["title"],
        "x_label": picture["x"],
        "y_label": picture["y"],
        "log": bool(picture.get("log")),
        "line": bool(picture.get("line")),
        "series": series,
        "number": number,
        "x": x,
        "filled": x % picture.get("filled", 1) == 0,
    }
