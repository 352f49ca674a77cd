"""Plain tables for a terminal: aligned columns, no colour, readable at 80 columns and in ASCII."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

#: What a terminal without Unicode gets instead.
ASCII = {"±": "+/-", "×": "x", "…": "...", "–": "-"}


def columns(rows: Sequence[Mapping[str, Any]], *, width: int | None = None) -> str:
    """Return rows as aligned columns; the last column is folded so that a line fits `width` characters.

    >>> print(columns([{"name": "nearest", "taps": 2}, {"name": "linear", "taps": 4}], width=40))
    name     taps
    nearest  2
    linear   4
    """
    if not rows:
        return "nothing"
    keys = list(rows[0])
    cells = [keys, *([fit(str(row[key])) for key in keys] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(keys))]
    room = (width or shutil.get_terminal_size().columns) - sum(widths[:-1]) - 2 * (len(keys) - 1)
    lines = []
    for line in cells:
        start = "".join(cell.ljust(w + 2) for cell, w in zip(line[:-1], widths, strict=False))
        folded = textwrap.wrap(line[-1], max(room, 16)) or [""]
        lines += [(start if i == 0 else " " * len(start)) + part for i, part in enumerate(folded)]
    return "\n".join(line.rstrip() for line in lines)


def fit(text: str) -> str:
    """Return text that standard output can encode."""
    encoding = sys.stdout.encoding or "ascii"
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        for character, plain in ASCII.items():
            text = text.replace(character, plain)
        text = text.encode("ascii", "replace").decode("ascii")
    return text
