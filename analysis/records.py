"""Records: what figures and tables are drawn from, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

RUN_COLUMNS = ("run", "arm", "seed", "status", "steps", "parameters", "macs", "period", "needs_context")
VALUE_COLUMNS = ("run", "step", "metric", "value")


@dataclass(frozen=True)
class Records:
    """The collected numbers of one study.

    Attributes:
        runs: One row per run, in config order: `run` (id), `arm` (label), `seed`, `status` ("done", "diverged",
            "failed"), `steps`, `parameters`, `macs`, `period`, `needs_context`, then one column per study factor
            (`upsampler`, `initializer`, ...).
        values: One row per number: `run`, `step`, `metric` (key of a measure), `value`.
        arrays: "arm/step/metric" to an array, averaged over seeds (pictures: the first seed).
        units: Metric to unit.
        tables: Other tidy tables by name: `machine` (times and memory, of this machine and not of the result),
            `verdicts` of claims, ...
        study: Name of the study.
        question: What the study asks.
    """

    runs: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(RUN_COLUMNS)))
    values: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(VALUE_COLUMNS)))
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    study: str = ""
    question: str = ""

    @property
    def arms(self) -> list[str]:
        """Arm labels in config order."""
        return list(dict.fromkeys(self.runs["arm"]))

    def has(self, name: str) -> bool:
        """Return whether there is a metric of a finished run, an array, a table or a column of runs of that name.

        "values" is any metric of a finished run.
        """
        finished = self.values["run"].isin(self.runs.loc[self.runs["status"] == "done", "run"])
        if name == "values":
            return bool(finished.any())
        if name in self.tables or name in self.runs or bool((finished & (self.values["metric"] == name)).any()):
            return True
        return any(key.rpartition("/")[2] == name for key in self.arrays)

    def period(self, arm: str) -> int:
        """Return the accumulated stride of an arm's decoder, in pixels."""
        return int(self.runs.loc[self.runs["arm"] == arm, "period"].max())

    def by_arm(self, metric: str, *, step: str = "end") -> dict[str, np.ndarray]:
        """Return the arrays of one metric by arm, in config order; arms without it are left out."""
        found = {arm: self.arrays.get(f"{arm}/{step}/{metric}") for arm in self.arms}
        return {arm: array for arm, array in found.items() if array is not None}

    def metric(self, name: str, *, step: str = "end") -> pd.DataFrame:
        """Return the finished runs with one metric as column `value`, at the "start" or the "end" of training.

        Diverged and failed runs are left out here; tables list them by their status.
        """
        rows = self.values[self.values["metric"] == name]
        finished = self.runs[self.runs["status"] == "done"]
        joined = rows.merge(finished, on="run", how="inner", sort=False)
        wanted = joined["step"] == (0 if step == "start" else joined["steps"])
        joined = joined[wanted]
        order = {run: i for i, run in enumerate(self.runs["run"])}
        return joined.sort_values("run", key=lambda column: column.map(order)).reset_index(drop=True)
