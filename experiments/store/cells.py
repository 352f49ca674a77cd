"""Tables as CSV that a spreadsheet reads as text and numbers, never as a formula.

A cell of text that begins with = + - @ or a control character would be run by a spreadsheet that opens the file; labels
and messages come from configs and other people's code. Such a cell gets a quotation mark in front, as does one that
begins with such a mark, so that reading takes back exactly what was put there. Numbers stay as they are.
"""

from __future__ import annotations

import re

import pandas as pd
from pandas.api.types import is_numeric_dtype

#: What a spreadsheet may take for a formula.
FORMULA = re.compile(r"[=+\-@\t\r']")
#: What begins with a sign and is a number, with its percent sign or interval, or a lone dash.
NUMBER = re.compile(r"[+-]?[\d\s.,%eE±+-]*|[+-]?(inf|nan)", re.IGNORECASE)


def csv_bytes(table: pd.DataFrame) -> bytes:
    """Return a table as CSV in UTF-8, without its index."""
    safe = table.copy()
    for name in (name for name in table if not is_numeric_dtype(table[name])):
        safe[name] = table[name].map(guarded)
    return safe.rename(columns=guarded).to_csv(index=False, lineterminator="\n").encode()


def guarded(value: object) -> object:
    """Return a cell that no spreadsheet runs.

    >>> [guarded(cell) for cell in ("=1+1", "-0.5 ± 0.1", "-", "@x", "nearest", "'a", 2)]
    ["'=1+1", '-0.5 ± 0.1', '-', "'@x", 'nearest', "''a", 2]
    """
    if isinstance(value, str) and FORMULA.match(value) and not NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def unguarded(value: object) -> object:
    """Return what `guarded` was given.

    >>> [unguarded(guarded(cell)) for cell in ("=1+1", "'a", "-")]
    ['=1+1', "'a", '-']
    """
    return value[1:] if isinstance(value, str) and value.startswith("'") else value
