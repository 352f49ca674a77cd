"""What the commands of a study show: states, what is left out, the main table, where files lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from checkerscope.experiments.cli import terminal
from checkerscope.experiments.cli.terminal import say, show_json

if TYPE_CHECKING:
    from checkerscope.analysis.records import Records
    from checkerscope.experiments.execution.progress import Progress
    from checkerscope.experiments.execution.session import Session
    from checkerscope.experiments.reporting.collect import Collected
    from checkerscope.experiments.reporting.report import Report
    from checkerscope.experiments.study.grid import Grid

#: Most lines that are said of what is left out.
MOST_LINES = 10


def plan(grid: Grid, as_json: bool) -> None:
    """Show what a config would train."""
    factors = {key: len(values) for key, values in grid.factors.items()}
    if as_json:
        show_json({"study": grid.config.study.name, "runs": len(grid), "factors": factors})
    else:
        product = " x ".join(f"{count} {key}" for key, count in factors.items())
        say(f"{grid.config.study.name}: {len(grid)} runs ({product}, less exclusions); nothing was trained")


def runs(session: Session, state: Progress, as_json: bool) -> None:
    """Show how many runs are there, and what is wrong with the others."""
    if as_json:
        show_json({**state.__dict__, "complete": state.is_complete})
    else:
        say(session.status_line(state))
        for line in state.damaged:
            say(f"damaged: {line}")
        for line in state.failures:
            say(f"failed: {line}")


def failures(lines: Sequence[str]) -> None:
    """Show one line per thing that failed, on standard error."""
    for line in lines:
        say(f"failed: {line}", err=True)


def left_out(session: Session, collected: Collected) -> None:
    """Show what the records do not have, on standard error."""
    state = collected.state
    lines = [f"damaged: {line}; it is left out" for line in state.damaged]
    lines += [f"left out: {line}" for line in collected.gaps]
    if not state.is_complete:
        say(session.status_line(state), err=True)
    for line in lines[:MOST_LINES]:
        say(line, err=True)
    if len(lines) > MOST_LINES:
        say(f"... and {len(lines) - MOST_LINES} more", err=True)


def report(records: Records, made: Report) -> None:
    """Show the main table, what the report leaves out, and where it lies."""
    from checkerscope.analysis.tables import main_results

    say(terminal.columns(main_results.brief(records)))
    for line in made.left_out[:MOST_LINES]:
        say(f"left out: {line}", err=True)
    say("")
    places({"PDF": made.place.pdf, "figures": made.place.folder / "figures", "tables": made.place.folder / "tables"})


def places(named: Mapping[str, Path]) -> None:
    """Show where files lie, from the current folder where they are inside it."""
    for label, path in named.items():
        say(f"{label + ':':<9}{_short(path)}")


def _short(path: Path) -> str:
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
