"""Markdown tables, and the line that says where a benchmark's numbers come from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; a bar inside a cell does not end it.

    >>> print(table(("a", "b"), [(1, "x|y")]))
    | a | b |
    | --- | --- |
    | 1 | x\\|y |
    """
    lines = (head, ("---",) * len(head), *rows)
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |" for cells in lines)


def where(results: dict[str, Any]) -> str:
    """Return the machine, versions, load and command of a benchmark, one paragraph."""
    machine = results["environment"]
    named = machine["accelerator"] or f"{machine['processor']}, {machine['cores']} cores, {machine['cpu_capability']}"
    load = results["load"][0]
    busy = "; a busy machine, so read what is not in processor seconds with care" if load > machine["cores"] + 1 else ""
    versions = f"torch {machine['packages']['torch']}, Python {machine['python']}"
    when = f"{machine['time'][:10]}, load at the end {load:.1f}{busy}"
    return f"{named}, {versions}, {when}. Command: `{results['command']}`."
