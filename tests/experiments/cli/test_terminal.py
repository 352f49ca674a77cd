"""Tables in a terminal: nothing that one would copy is split, at any width."""

from __future__ import annotations

import pytest

from checkerscope.experiments.cli.terminal import columns
from checkerscope.toolkit import catalog

KINDS = [
    "checkerscope.toolkit.upsamplers",
    "checkerscope.toolkit.initializers",
    "checkerscope.analysis.measures",
    "checkerscope.experiments.claims",
]


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("package", KINDS)
def test_no_word_is_split_and_eighty_columns_are_enough(package: str, width: int) -> None:
    rows = [{"name": c.name, "label": c.label, "source": c.source} for c in catalog.describe(package)]
    shown = columns(rows, width=width)
    words = shown.split()
    for row in rows:
        for word in (row["name"], *row["source"].split()):
            assert word in words
    if width >= 80:
        assert max(map(len, shown.splitlines())) <= width


def test_a_narrow_last_column_moves_to_lines_of_its_own() -> None:
    rows = [{"name": "a" * 30, "source": "one two three four five six seven"}]
    assert columns(rows, width=80).splitlines()[1] == "a" * 30 + "  one two three four five six seven"
    assert columns(rows, width=50).splitlines() == [
        "name", "    source", "a" * 30, "    one two three four five six seven",
    ]  # fmt: skip


def test_where_not_even_the_first_columns_fit_every_column_has_its_line() -> None:
    rows = [{"name": "a" * 30, "label": "b" * 30, "source": "c d"}]
    assert columns(rows, width=50).splitlines()[3:] == ["a" * 30, "    " + "b" * 30, "    c d"]


def test_short_tables_stay_aligned_and_empty_ones_say_so() -> None:
    assert columns([{"arm": "x", "tone": "1"}, {"arm": "long", "tone": "22"}], width=40).splitlines() == [
        "arm   tone", "x     1", "long  22",
    ]  # fmt: skip
    assert columns([{"arm": "a"}]) == "arm\na"
    assert columns([]) == "nothing"


def test_text_cannot_move_the_cursor() -> None:
    assert "\x1b" not in columns([{"name": "a\x1b[2J", "label": "b\r\nc"}], width=80)
