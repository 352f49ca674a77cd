"""The metric audit's figure and table from a made-up audit."""

import numpy as np
import pandas as pd

from checkerscope.analysis import distortions
from checkerscope.analysis.figures import metric_audit as figure
from checkerscope.analysis.metric_audit import COLUMNS
from checkerscope.analysis.records import Records
from checkerscope.analysis.tables import metric_audit as table


def records():
    rows = []
    for measure, origin, threshold in (("sharp", "ours", -40), ("blunt", "published", -10), ("blind", "published", 10)):
        rows.append((measure, origin, "none", np.nan, 60, 0.05))
        for name in (*distortions.ARTIFACTS, *distortions.OTHERS):
            rows += [
                (measure, origin, name, level, 20, float(level >= threshold)) for level in (-60.0, -40.0, -20.0, 0.0)
            ]
    return Records(tables={"metric_audit": pd.DataFrame(rows, columns=list(COLUMNS))}, study="audit")


def test_one_panel_per_defect_one_row_per_measure():
    fig = figure.draw(records())
    titles = [ax.get_title() for ax in fig.axes]
    assert titles == [*figure.TITLES.values(), "clean"]
    assert [label.get_text() for label in fig.axes[0].get_yticklabels()] == ["sharp", "blunt", "blind"]
    drawn = fig.axes[0].collections[0].get_array()
    assert np.asarray(drawn).tolist() == [[0, 1, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert [text.get_text() for text in fig.axes[-1].texts] == ["5 %"] * 3


def test_table_names_what_is_confused():
    shown = table.build(records())
    assert shown["checkerboard (dB)"].tolist() == ["-42", "-2", "-"]
    assert shown["confuses"].tolist() == ["blur, noise, blocking", "", ""]
    assert shown["false positives (%)"].tolist() == ["5"] * 3
