"""The table of verdicts: one row per claim, its number in words."""

from __future__ import annotations

import pandas as pd

from checkerscope.analysis.records import Records
from checkerscope.analysis.tables import claims

VERDICT = {
    "claim": "sum_of_two",
    "kind": "article",
    "source": "founding article, section 2.1",
    "statement": "Two and two make five.",
    "verdict": "fails",
    "key": "sum",
    "corrected": "They make four.",
}
NUMBERS = [
    {"claim": "sum_of_two", "number": "sum", "value": 4.0, "unit": "1", "low": 3.5, "high": 4.5, "n": 5},
    {
        "claim": "sum_of_two",
        "number": "large_count",
        "value": 12345.0,
        "unit": "bytes",
        "low": None,
        "high": None,
        "n": 1,
    },
]


def records(*verdicts: dict[str, str]) -> Records:
    return Records(tables={"verdicts": pd.DataFrame(verdicts), "measured": pd.DataFrame(NUMBERS)}, study="claims")


def test_a_row_says_claim_verdict_and_number() -> None:
    (row,) = claims.build(records(VERDICT)).to_dict("records")
    assert row == {
        "kind": "article",
        "claim": "Two and two make five.",
        "source": "founding article, section 2.1",
        "verdict": "fails",
        "number": "sum: 4 [3.5, 4.5], n = 5",
        "instead": "They make four.",
    }


def test_a_number_without_interval_has_none() -> None:
    table = claims.build(records({**VERDICT, "key": "large_count", "corrected": float("nan")}))  # type: ignore[dict-item]
    assert table.loc[0, "number"] == "large count: 12,345 bytes"
    assert table.loc[0, "instead"] == "-"
