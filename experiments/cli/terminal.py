"""What a terminal is shown: aligned columns, readable at 80 columns and in ASCII, and the one progress bar."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

import click

from checkerscope.experiments.errors import printable
from checkerscope.experiments.reporter import Bar

#: What a terminal without Unicode gets instead.
ASCII = {"±": "+/-", "×": "x", "…": "...", "–": "-"}
#: A last column that is narrower than this is unpleasant to read.
LEAST_ROOM = 32
INDENT = "    "


def columns(rows: Sequence[Mapping[str, Any]], *, width: int | None = None) -> str:
    """Return rows as aligned columns that fit `width` characters; no word is ever split, so that it can be copied.

    The last column is folded. Where there is too little room for that, it stands on lines of its own.

    >>> print(columns([{"name": "nearest", "taps": 2}, {"name": "linear", "taps": 4}], width=40))
    name     taps
    nearest  2
    linear   4
    >>> print(columns([{"name": "lanczos", "source": "Duchon 1979, doi:10.1175/1520-0450(1979)018<1016>"}], width=32))
    name
        source
    lanczos
        Duchon 1979,
        doi:10.1175/1520-0450(1979)018<1016>
    """
    if not rows:
        return "nothing"
    keys = list(rows[0])
    cells = [keys, *([fit(str(row[key])) for key in keys] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(keys))]
    width = width or shutil.get_terminal_size().columns
    room = width - sum(widths[:-1]) - 2 * (len(keys) - 1)
    longest = max(len(word) for line in cells for word in line[-1].split() or [""])
    is_stacked = len(keys) > 1 and room < min(widths[-1], max(longest, LEAST_ROOM))
    if is_stacked:
        return _stacked(cells, widths, width)
    lines = []
    for line in cells:
        start = "".join(cell.ljust(w + 2) for cell, w in zip(line[:-1], widths, strict=False))
        lines += [(start if i == 0 else " " * len(start)) + part for i, part in enumerate(_folded(line[-1], room))]
    return "\n".join(line.rstrip() for line in lines)


def _stacked(cells: Sequence[Sequence[str]], widths: Sequence[int], width: int) -> str:
    """Return rows whose last column, or every column but the first, stands on lines of its own."""
    beside = len(widths) - 1 if sum(widths[:-1]) + 2 * (len(widths) - 2) <= width else 1
    lines = []
    for line in cells:
        lines.append("  ".join(cell.ljust(w) for cell, w in zip(line[:beside], widths, strict=False)))
        lines += [INDENT + part for cell in line[beside:] for part in _folded(cell, width - len(INDENT))]
    return "\n".join(line.rstrip() for line in lines)


def _folded(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(width, 1), break_long_words=False, break_on_hyphens=False) or [""]


def fit(text: str, *, stream: TextIO | None = None) -> str:
    """Return text that a stream, by default standard output, can encode and that cannot move the cursor."""
    encoding = (stream or sys.stdout).encoding or "ascii"
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        for character, plain in ASCII.items():
            text = text.replace(character, plain)
        text = text.encode("ascii", "backslashreplace").decode("ascii")
    return printable(text)


def say(text: object = "", *, err: bool = False) -> None:
    """Print text, line by line: the one place where what comes from outside reaches a terminal.

    File names, messages of somebody's code and labels may hold anything; `fit` makes each line printable.

    Args:
        text: One or more lines.
        err: Whether it goes to standard error.
    """
    for line in str(text).split("\n"):
        click.echo(fit(line, stream=sys.stderr if err else sys.stdout), err=err)


def show_json(value: Any) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(value, indent=1, default=str, allow_nan=False))


def show_table(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Print rows as aligned columns, or as JSON."""
    if as_json:
        show_json(rows)
    else:
        say(columns(rows))


class Screen:
    """A reporter that writes to standard error; where that is no terminal, bars are left out and lines stay."""

    def say(self, line: str) -> None:
        """Print one line, above a bar if there is one."""
        from tqdm import tqdm

        tqdm.write(fit(line, stream=sys.stderr), file=sys.stderr)

    @contextlib.contextmanager
    def bar(self, verb: str, *, total: int, done: int = 0, unit: str = "runs") -> Iterator[Bar]:
        """Show a bar while the `with` statement lasts."""
        from tqdm import tqdm

        with tqdm(
            total=total,
            initial=done,
            desc=verb,
            bar_format=f"{{desc}} |{{bar}}| {{n_fmt}} of {{total_fmt}} {unit}{{postfix}}, {{remaining}} left",
            disable=None,
            dynamic_ncols=True,
            file=sys.stderr,
            ascii=fit("█") != "█",
        ) as shown:
            yield _Bar(shown)


class _Bar:
    def __init__(self, shown: Any) -> None:
        self._shown = shown

    def advance(self, note: str = "") -> None:
        """Count one more as done."""
        self._shown.set_postfix_str(note, refresh=False)
        self._shown.update()
