"""From the results of a study to its records, figures and PDF: what follows the runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from checkerscope.experiments.cli import terminal
from checkerscope.experiments.errors import StoreError
from checkerscope.experiments.execution.session import Session
from checkerscope.experiments.reporting import collect, paper
from checkerscope.experiments.store import manifest, seals
from checkerscope.experiments.store import records as stored
from checkerscope.experiments.store.records import load_records, save_records
from checkerscope.experiments.study import source_code

#: Most lines that are said of what is left out.
SAID = 10


def collect_records(session: Session, *, publish: bool) -> list[Path]:
    """Write the records of the finished runs, say what is not there yet, and return the folders written.

    Raises:
        ValueError: If an unfinished study is to be published.
    """
    gaps: list[str] = []
    state = session.progress()  # before the records: what is finished meanwhile is in them, and not promised
    records = collect.collect(session.grid, session.store, gaps.append)
    folders = [session.store.root / "records"]
    if publish:
        if not state.is_complete or len(records.runs) < state.total:
            raise ValueError(f"{session.status_line(state)}; finish it before --publish, with: checkerscope run")
        if gaps:
            raise ValueError(f"{gaps[0]} ({len(gaps)} in all); take them before --publish, with: checkerscope measure")
        folders.append(_committed(session))
    lines = [f"damaged: {line}; it is left out" for line in state.damaged] + [f"left out: {line}" for line in gaps]
    if not state.is_complete:
        click.echo(session.status_line(state), err=True)
    for line in lines[:SAID]:
        click.echo(terminal.fit(line), err=True)
    if len(lines) > SAID:
        click.echo(f"... and {len(lines) - SAID} more", err=True)
    for folder in folders:
        save_records(records, folder)
    return folders


def differences(session: Session) -> list[str]:
    """Return which committed records differ from those of the results folder."""
    fresh, committed = collect.collect(session.grid, session.store), load_records(_committed(session))
    return stored.differences(fresh, committed)


def publish(session: Session, output: Path | None, *, collected: bool = False) -> None:
    """Draw, build and compile from the records, then show the main table and where everything lies.

    Args:
        session: The study.
        output: The PDF; paper/checkerscope.pdf by default.
        collected: The records of the results folder were written just now.

    Raises:
        ValueError: If there are no records, or they are another study's.
    """
    folder = _records_folder(session, collected=collected)
    records = load_records(folder)
    if session.name != records.study:
        raise ValueError(f"{folder}: expected records of {session.name}, got {records.study}")
    companions = [name for name in paper.COMPANIONS if name != session.name and _data(name).is_dir()]
    shown = (folder, *map(_data, companions))
    numbers = [manifest.read(path) for each in shown for path in sorted(each.iterdir()) if path.is_file()]
    stamp = source_code.drawing_code() + seals.digest(b"".join(numbers))
    made = _up_to_date(session, stamp)
    if made is None:
        made = paper.build(records, paper.PAPER, _say)
        drawn = [*made.figures, *made.tables, made.numbers]
        for name in companions:  # what the manuscript shows of other studies
            _say(name)
            beside = paper.build(load_records(_data(name)), paper.PAPER, only=paper.COMPANIONS[name])
            drawn += [*beside.figures, *beside.tables, beside.numbers]
        digests = {str(path): seals.digest(manifest.read(path)) for path in drawn}
        session.store.save_note("paper", {"stamp": stamp, "made": made.to_json(), "digests": digests})
    pdf = paper.compile_pdf(output or paper.PAPER / "checkerscope.pdf", study=session.name, root=paper.PAPER)
    _show(records, folder, made, pdf)


def _data(study: str) -> Path:
    return paper.PAPER / "data" / study


def _committed(session: Session) -> Path:
    return _data(session.name)


def _records_folder(session: Session, *, collected: bool) -> Path:
    """Return where the study's records are: in its results, if complete or just collected, else in paper/data."""
    if collected or session.progress().is_complete:
        if not collected:  # what lies there may be of fewer runs, or of other measures
            collect_records(session, publish=False)
        return session.store.root / "records"
    committed = _committed(session)
    if committed.is_dir():
        return committed
    raise ValueError(f"{session.status_line()}, and no committed {committed}; finish it with: checkerscope study")


def _up_to_date(session: Session, stamp: str) -> paper.Output | None:
    """Return what was made of the same records by the same code, if it still lies there as it was made."""
    note = session.store.load_note("paper")
    try:
        if note["stamp"] != stamp or any(seals.digest(manifest.read(Path(p))) != d for p, d in note["digests"].items()):
            return None
        return paper.Output.from_json(note["made"])
    except (TypeError, KeyError, AttributeError, StoreError):  # none, an older one, or another study's work
        return None


def _say(line: str) -> None:
    click.echo(f"  {line}", err=True)


def _show(records: Any, folder: Path, made: paper.Output, pdf: Path) -> None:
    from checkerscope.analysis.tables import main_results

    click.echo(terminal.columns(main_results.brief(records)))
    for line in made.skipped:
        click.echo(f"not drawn: {line}", err=True)
    figures = made.numbers.parent.parent / "figures" / records.study
    click.echo("")
    for label, path in {"PDF": pdf, "figures": figures, "CSV": folder / "values.csv"}.items():
        click.echo(f"{label + ':':<9}{_short(path)}")


def _short(path: Path) -> str:
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
