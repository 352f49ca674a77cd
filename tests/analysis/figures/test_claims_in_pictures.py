"""The picture of claims: numbers land where their claims' declarations say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from checkerscope.analysis.figures import claims_in_pictures
from checkerscope.analysis.records import Records
from checkerscope.experiments.verdicts.pictured import pictured


def records(claim: str, values: dict[str, float]) -> Records:
    rows = [{"claim": claim, "number": k, "value": v, "low": v - 0.01, "high": v + 0.01} for k, v in values.items()]
    measured = pd.DataFrame(rows)
    return Records(tables={"measured": measured, "pictured": pictured(measured)}, study="claims")


def test_positions_are_read_as_the_claim_declares_and_sorted() -> None:
    tones = {"tone_icnr_at_100": 0.3, "tone_icnr_at_0": 0.1, "tone_random_at_0": 0.5, "icnr_over_random_at_0": 0.2}
    (ax,) = claims_in_pictures.draw(records("h3_icnr_decays", tones)).axes
    random, icnr = (line for line in ax.lines if len(line.get_xdata()) in (1, 2))
    assert np.array_equal(random.get_ydata(), [0.5])
    assert np.array_equal(icnr.get_xdata(), [0, 100])
    assert np.array_equal(icnr.get_ydata(), [0.1, 0.3])


def test_a_series_takes_whole_names_only_and_fills_multiples() -> None:
    numbers = {"flat_tone_k3_final_conv": 0.2, "flat_tone_k4_final_conv": 0.1, "flat_tone_k4_no_final_conv": 0.3}
    table = records("h2_divisibility_after_training", numbers).tables["pictured"]
    assert table[["series", "x", "filled"]].to_numpy().tolist() == [
        ["final conv", 3, False], ["final conv", 4, True], ["no final conv", 4, True],
    ]  # fmt: skip


def test_only_claims_with_numbers_are_drawn() -> None:
    (ax,) = claims_in_pictures.draw(records("pons_replicas", {"share_at_4_khz": 0.5, "other": 1.0})).axes
    assert ax.get_title() == "tones and replicas"
    with pytest.raises(ValueError, match=r"expected numbers of a claim with a PICTURE, got none"):
        claims_in_pictures.draw(records("another", {"x": 1.0}))
