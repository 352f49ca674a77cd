"""What benchmarks/calibration.json says, against the bands that the grid test is held to."""

import json
from pathlib import Path

import pytest

from checkerscope.analysis.tables import calibration as table

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def cells():
    return json.loads((ROOT / "benchmarks" / "calibration.json").read_text())["cells"]


def test_no_cell_lies_outside_its_band(cells):
    clean = [cell for cell in cells if "outside" in cell]
    assert len(clean) > 500
    for cell in clean:
        assert cell["draws"] >= 2000
        most = 0.07 if min(cell["shape"]) >= 12 * cell["period"] else 0.085
        assert all(cell[test] <= most for test in ("local", "combined") if test in cell), cell
        assert 0.03 <= cell.get("across", 0.05) <= 0.07, cell


def test_every_period_size_and_number_of_images_is_there(cells):
    noise = [cell for cell in cells if cell["kind"] == "noise"]
    assert {cell["period"] for cell in noise} == {2, 3, 4, 8}
    assert {cell["images"] for cell in noise} == {1, 4, 16, 64}
    assert {cell["exponent"] for cell in noise} == {0, 1, 2, 3}
    assert max(max(cell["shape"]) for cell in noise) == 512
    assert any(len(set(cell["shape"])) > 1 for cell in cells if "photographs" in cell["kind"])


@pytest.mark.parametrize(
    ("line", "db", "images", "least"),
    [("(pi, pi)", -46, 16, 0.99), ("(pi, 0)", -46, 16, 0.85), ("(0, pi)", -46, 16, 0.85), ("(pi, pi)", -40, 16, 0.99),
     ("(pi, 0)", -40, 16, 0.99), ("(0, pi)", -40, 16, 0.99), ("(pi, 0)", -46, 64, 0.99), ("(0, pi)", -46, 64, 0.99)],
)  # fmt: skip
def test_faint_tones_are_found(cells, line, db, images, least):
    found = [
        cell["combined"]
        for cell in cells
        if cell["kind"] == "power" and (cell["line"], cell["db"], cell["images"]) == (line, db, images)
    ]
    assert len(found) == 2  # amplitude relative to each image's deviation, and to that of the set
    assert min(found) >= least


def test_the_page_quotes_it():
    page = (ROOT / "docs" / "measures.md").read_text()
    assert table.CAPTION in page
    assert "| noise | 400 |" in page
