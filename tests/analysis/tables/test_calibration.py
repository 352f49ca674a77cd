"""The calibration's table and figure on a few cells."""

import pandas as pd

from checkerscope.analysis.figures import calibration as figure
from checkerscope.analysis.records import Records
from checkerscope.analysis.tables import calibration

COLUMNS = ["kind", "images", "line", "level_db", "amplitude", "test", "rate", "outside"]
ROWS = [
    ("noise", 4, "", None, "", "across", 0.051, False),
    ("noise", 4, "", None, "", "local", 0.012, False),
    ("noise", 16, "", None, "", "across", 0.072, True),
    ("leaves", 1, "", None, "", "local", 0.03, False),
    *(("power", 16, "(pi, 0)", level, how, "combined", rate, False)
      for level, how, rate in [(-46, "own", 0.9), (-46, "common", 0.8), (-40, "own", 1.0)]),
]  # fmt: skip


def records():
    return Records(tables={"calibration": pd.DataFrame(ROWS, columns=COLUMNS)}, study="calibration")


def test_extremes_and_cells_outside_are_told():
    table = calibration.build(records()).set_index("case")
    assert table.loc["noise", "across (%)"] == "5.1 to 7.2"
    assert table.loc["noise", ["cells", "outside"]].tolist() == [2, 1]
    assert table.loc["leaves", "across (%)"] == "-"


def test_power_is_the_least_of_both_amplitudes():
    table = calibration.build(records()).set_index("case")
    assert table.loc["(pi, 0) tone at -46 dB, 16 images", "combined (%)"] == "80.0"


def test_every_cell_is_drawn():
    left, right = figure.draw(records()).axes
    assert sum(len(points.get_offsets()) for points in left.collections) == 4
    assert right.lines[0].get_xydata().tolist() == [[-46, 90], [-40, 100]]
