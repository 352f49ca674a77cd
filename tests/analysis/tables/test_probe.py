"""The probe's tables and figure on records of known agreement."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from checkerscope.analysis.figures import probe_against_photographs
from checkerscope.analysis.measures.decoder_probe import DIRTY
from checkerscope.analysis.records import Records
from checkerscope.analysis.tables import probe, probe_agreement

#: Per model of two clean and two dirty arms: probe, photographs, in units of the threshold. One is judged unlike.
READINGS = {
    "clean a": [(1e-5, 0.1), (1e-5, 0.3)],
    "clean b": [(1e-5, 0.0), (1e-5, 1.5)],
    "dirty c": [(2, 4), (3, 5)],
    "dirty d": [(6, 2), (9, 8)],
}


@pytest.fixture
def records():
    runs, values = [], []
    for arm, models in READINGS.items():
        for seed, (read, seen) in enumerate(models):
            run = f"{arm}{seed}"
            runs.append({"run": run, "arm": arm, "seed": seed, "status": "done", "steps": 9, "needs_context": False})
            numbers = {"decoder_probe.rms": read, "tone.flat_rms": 2 * read, "cycled_tone.rms_unbiased": seen}
            values += [(run, 9, metric, number * DIRTY) for metric, number in numbers.items()]
    runs.append({**runs[0], "run": "gone", "status": "diverged"})
    return Records(runs=pd.DataFrame(runs), values=pd.DataFrame(values, columns=["run", "step", "metric", "value"]))


def test_agreement_counts_the_models_on_the_same_side(records):
    found = probe_agreement.agreement(probe.models(records))
    assert (found.models, found.same) == (8, 7)
    expected = scipy.stats.binomtest(7, 8).proportion_ci()
    assert (found.low, found.high) == (expected.low, expected.high)
    assert probe_agreement.agreement(probe.models(records), 1.8 * DIRTY).same == 8


def test_area_is_over_pairs_of_dirty_and_clean(records):
    # of five dirty and three clean models, one dirty one ties with all the clean ones
    assert probe_agreement.area(probe.models(records)) == pytest.approx(1 - 0.5 * 3 / 15)


def test_ranks_are_of_the_models_above_the_threshold(records):
    summary = probe_agreement.build(records).set_index("quantity")
    assert summary["value"].iloc[0] == "87.5 %"
    x, y = [1e-5, 2, 3, 6, 9], [1.5, 4, 5, 2, 8]
    row = summary.loc["rank correlation"]
    assert (row["value"], row["models"]) == (f"{scipy.stats.spearmanr(x, y).statistic:.2f}", 5)
    assert summary.loc["rank correlation within arms", "value"] == "1.00"


def test_tables_and_figure_have_every_arm(records):
    table = probe.build(records)
    assert table["arm"].tolist() == list(READINGS)
    assert table["dirty by probe"].tolist() == [0, 0, 2, 2]
    assert table["dirty on photographs"].tolist() == [0, 1, 2, 2]
    assert table["flat"][2].startswith(f"{5 * DIRTY:.1e} ")
    ax = probe_against_photographs.draw(records).axes[0]
    drawn = np.concatenate([points.get_offsets() for points in ax.collections])
    assert len(drawn) == 8
    assert drawn[:, 1].min() == probe_against_photographs.LOWEST["photographs"]
