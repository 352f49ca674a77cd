"""From the results of a study to its records, figures and PDF: what follows the runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from experiments import collect, paper, provenance, terminal
from experiments import store as files
from experiments.session import Session


def save_records(session: Session, *, publish: bool) -> list[Path]:
    """Write the records of the finished runs; return the folders written.

    Raises:
        ValueError: If an unfinished study is to be published.
    """
    records = collect.collect(session.grid, session.store)
    folders = [session.store.root / "records"]
    if publish:
        state = session.progress()
        if not state.is_complete:
            raise ValueError(f"{session.status_line()}; finish it before --publish, with: checkerscope run")
        folders.append(_committed(session))
    for folder in folders:
        collect.save(records, folder)
    return folders


def differences(session: Session) -> list[str]:
    """Return which committed records differ from those of the results folder."""
    fresh, committed = collect.collect(session.grid, session.store), collect.load(_committed(session))
    return collect.differences(fresh, committed)


def publish(session: Session, output: Path | None) -> None:
    """Draw, build and compile from the records, then show the main table and where everything lies.

    Raises:
        ValueError: If there are no records, or they are another study's.
    """
    folder = _records_folder(session)
    records = collect.load(folder)
    if session.name != records.study:
        raise ValueError(f"{folder}: expected records of {session.name}, got {records.study}")
    companions = [name for name in paper.COMPANIONS if name != session.name and _data(name).is_dir()]
    shown = (folder, *map(_data, companions))
    numbers = [files.read(path) for each in shown for path in sorted(each.iterdir()) if path.is_file()]
    stamp = provenance.drawing_code() + files.digest(b"".join(numbers))
    made = _up_to_date(session, stamp)
    if made is None:
        made = paper.build(records, paper.PAPER, _say)
        session.store.save_note("paper", {"stamp": stamp, "made": made.to_json()})
        for name in companions:  # what the manuscript shows of other studies
            _say(name)
            paper.build(collect.load(_data(name)), paper.PAPER, only=paper.COMPANIONS[name])
    pdf = paper.compile_pdf(output or paper.PAPER / "checkerscope.pdf", study=session.name, root=paper.PAPER)
    _show(records, folder, made, pdf)


def _data(study: str) -> Path:
    return paper.PAPER / "data" / study


def _committed(session: Session) -> Path:
    return _data(session.name)


def _records_folder(session: Session) -> Path:
    """Return where the study's records are read from: its results if complete, else the committed data."""
    if session.progress().is_complete:
        folder = session.store.root / "records"
        if not (folder / "manifest.json").is_file():
            save_records(session, publish=False)
        return folder
    committed = _committed(session)
    if committed.is_dir():
        return committed
    raise ValueError(f"{session.status_line()}, and no committed {committed}; finish it with: checkerscope study")


def _up_to_date(session: Session, stamp: str) -> paper.Output | None:
    note = session.store.load_note("paper")
    if note is None or note["stamp"] != stamp:
        return None
    made = paper.Output.from_json(note["made"])
    return made if all(path.is_file() for path in (*made.figures, *made.tables, made.numbers)) else None


def _say(line: str) -> None:
    click.echo(f"  {line}", err=True)


def _show(records: Any, folder: Path, made: paper.Output, pdf: Path) -> None:
    from analysis.tables import main_results

    click.echo(terminal.columns(main_results.brief(records)))
    for line in made.skipped:
        click.echo(f"left out: {line}", err=True)
    figures = made.numbers.parent.parent / "figures" / records.study
    click.echo("")
    for label, path in {"PDF": pdf, "figures": figures, "CSV": folder / "values.csv"}.items():
        click.echo(f"{label + ':':<9}{_short(path)}")


def _short(path: Path) -> str:
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
