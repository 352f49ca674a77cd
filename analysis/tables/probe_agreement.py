"""Does the decoder probe agree with photographs: clean against dirty, and in order? Hypothesis H6 in numbers."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import scipy.stats
import torch

from checkerscope.analysis.measures.decoder_probe import DIRTY
from checkerscope.analysis.measures.detectability import area_under_curve
from checkerscope.analysis.records import Records
from checkerscope.analysis.statistics import RankCorrelation, clustered_rank_correlation
from checkerscope.analysis.tables import probe

LABEL = "Decoder probe against photographs"
CAPTION = (
    "Agreement: share of models that the probe and the tone on held-out photographs put on the same side of a"
    " threshold; of 8-bit rounding first, then half and twice that; exact binomial 95 % interval. Rank correlation"
    " (Spearman) over the models whose tone on photographs lies above the threshold, arms resampled; within arms:"
    " of the ranks inside each arm."
)
NEEDS = ("decoder_probe.rms", "cycled_tone.rms_unbiased")


@dataclass(frozen=True)
class Agreement:
    """How many models two readings put on the same side of a threshold.

    Attributes:
        models: Number of models.
        same: Of those, on the same side.
        low: Lower bound of the exact binomial 95 % interval of the share.
        high: Upper bound.
    """

    models: int
    same: int
    low: float
    high: float


def agreement(table: pd.DataFrame, threshold: float = DIRTY) -> Agreement:
    """Return how often `probe` and `photographs` of a table of models fall on the same side of a threshold."""
    same = int(((table["probe"] > threshold) == (table["photographs"] > threshold)).sum())
    bounds = scipy.stats.binomtest(same, len(table)).proportion_ci()
    return Agreement(len(table), same, float(bounds.low), float(bounds.high))


def ranks(table: pd.DataFrame, threshold: float = DIRTY) -> RankCorrelation:
    """Return the rank correlation over the models whose tone on photographs lies above a threshold."""
    above = table[table["photographs"] > threshold]
    return clustered_rank_correlation(above["probe"], above["photographs"], list(above["arm"]))


def area(table: pd.DataFrame, threshold: float = DIRTY) -> float:
    """Return the probability that the probe reads more of a model that is dirty on photographs than of a clean one."""
    readings, dirty = torch.tensor(table["probe"].to_numpy()), torch.tensor((table["photographs"] > threshold).tolist())
    return area_under_curve(readings[dirty], readings[~dirty])


def build(records: Records) -> pd.DataFrame:
    """Return one row per number, formatted."""
    table = probe.models(records)
    rows = []
    for factor in (1, 0.5, 2):
        found = agreement(table, factor * DIRTY)
        share, bounds = f"{100 * found.same / found.models:.1f} %", f"{100 * found.low:.1f} to {100 * found.high:.1f} %"
        rows.append((f"agreement at {factor * DIRTY:.1e}", share, bounds, found.models))
    order = ranks(table)
    rows += [
        ("area under the curve", f"{area(table):.3f}", "-", len(table)),
        ("rank correlation", f"{order.correlation:.2f}", f"{order.low:.2f} to {order.high:.2f}", order.n),
        ("rank correlation within arms", f"{order.within:.2f}", "-", order.n),
    ]
    return pd.DataFrame(rows, columns=["quantity", "value", "95 % interval", "models"])
