"""Figures are the same whatever the user's settings, and take every label as text."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest

from checkerscope.analysis.figures._style import encoded
from checkerscope.analysis.records import Records
from checkerscope.experiments.store.records import load_records
from checkerscope.toolkit import catalog

PACKAGE = "checkerscope.analysis.figures"
#: What a user may have in a matplotlibrc.
OTHERWISE: dict[str, Any] = {
    "font.size": 23,
    "axes.facecolor": "yellow",
    "axes.grid": True,
    "savefig.bbox": "tight",
    "savefig.facecolor": "black",
    "savefig.dpi": 31,
    "lines.linewidth": 9,
    "path.sketch": (1, 100, 2),
    "pdf.compression": 0,
    "pdf.fonttype": 3,
    "axes.formatter.use_mathtext": True,
    "figure.constrained_layout.use": False,
    "image.cmap": "jet",
}
LABELS = (r"$\frac{a$", "cost $5 and $6", "a_b^c & 100 % \\alpha {")


def drawable(records: Records) -> list[str]:
    flags = {c.name: c.flags.get("needs", ()) for c in catalog.describe(PACKAGE)}
    return [name for name, needs in flags.items() if all(records.has(need) for need in needs)]


@pytest.fixture
def records(finished: Path) -> Records:
    return load_records(finished / "tiny" / "records")


def drawn(name: str, records: Records) -> dict[str, bytes]:
    figure = catalog.load(PACKAGE, name).draw(records)
    return {suffix: encoded(figure, suffix) for suffix in (".png", ".pdf", ".svg")}


def test_a_users_settings_change_no_byte(records: Records) -> None:
    names = drawable(records)
    assert len(names) >= 5
    for name in names:
        plain = drawn(name, records)
        with mpl.rc_context(OTHERWISE):
            assert drawn(name, records) == plain
            assert mpl.rcParams["font.size"] == 23


def renamed(records: Records) -> Records:
    from dataclasses import replace

    names = dict(zip(records.arms, LABELS, strict=False))
    arrays = {f"{names[arm]}/{rest}": v for key, v in records.arrays.items() for arm, rest in [key.split("/", 1)]}
    return replace(records, runs=records.runs.assign(arm=records.runs["arm"].map(names)), arrays=arrays)


def test_labels_are_text_and_never_formulas(records: Records) -> None:
    strange = renamed(records)
    for name in drawable(records):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a layout that does not fit long labels
            svg = drawn(name, strange)[".svg"]
        assert svg
    figure = catalog.load(PACKAGE, "artifact_by_arm").draw(strange)
    texts = [text for ax in figure.axes for text in ax.get_yticklabels()]
    assert {text.get_text() for text in texts} >= set(LABELS[:2])
    assert not any(text.get_parse_math() for text in texts if text.get_text() in LABELS)
