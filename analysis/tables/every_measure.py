"""Every number that a study took, one row per metric: the arms with the least and the most of it."""

from __future__ import annotations

import pandas as pd

from checkerscope.analysis.records import Records

LABEL = "Every measure"
CAPTION = (
    "Every metric after training, means over seeds: the arm with the smallest and the one with the largest, and the"
    " median over arms. Arms that see the encoder are among them; diverged and failed runs are not."
)
NEEDS = ("values",)
RANK = 90


def build(records: Records) -> pd.DataFrame:
    """Return one row per metric, formatted, in alphabetical order."""
    finished = records.runs[records.runs["status"] == "done"]
    joined = records.values.merge(finished[["run", "arm", "steps"]], on="run")
    means = joined[joined["step"] == joined["steps"]].groupby(["metric", "arm"], sort=True)["value"].mean().dropna()
    rows = []
    for metric, found in means.groupby(level="metric"):
        arms = found.droplevel("metric")
        rows.append(
            {
                "metric": metric,
                "unit": records.units.get(str(metric), ""),
                "smallest": f"{arms.min():.3g}",
                "arm": arms.idxmin(),
                "median": f"{arms.median():.3g}",
                "largest": f"{arms.max():.3g}",
                "arm ": arms.idxmax(),
            }
        )
    return pd.DataFrame(rows)
