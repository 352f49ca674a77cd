"""The picture of three claims: numbers land where their names say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from checkerscope.analysis.figures import claims_in_pictures
from checkerscope.analysis.records import Records


def records(claim: str, values: dict[str, float]) -> Records:
    rows = [{"claim": claim, "number": k, "value": v, "low": v - 0.01, "high": v + 0.01} for k, v in values.items()]
    return Records(tables={"verdicts": pd.DataFrame(), "measured": pd.DataFrame(rows)}, study="claims")


def test_steps_are_read_off_the_names_and_sorted() -> None:
    tones = {"tone_icnr_at_100": 0.3, "tone_icnr_at_0": 0.1, "tone_random_at_0": 0.5, "icnr_over_random_at_0": 0.2}
    (ax,) = claims_in_pictures.draw(records("h3_icnr_decays", tones)).axes
    random, icnr = (line for line in ax.lines if len(line.get_xdata()) in (1, 2))
    assert np.array_equal(random.get_ydata(), [0.5])
    assert np.array_equal(icnr.get_xdata(), [0, 100])
    assert np.array_equal(icnr.get_ydata(), [0.1, 0.3])


def test_only_panels_with_numbers_are_drawn() -> None:
    (ax,) = claims_in_pictures.draw(records("pons_replicas", {"share_at_4_khz": 0.5})).axes
    assert ax.get_title() == "tones and replicas"
    with pytest.raises(ValueError, match=r"h3_icnr_decays, .* got none"):
        claims_in_pictures.draw(records("another", {"x": 1.0}))
