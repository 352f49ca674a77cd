"""The commands of a study: run, measure, collect, paper, status, and study, which is all of them."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from checkerscope.experiments.cli import showing
from checkerscope.experiments.cli.options import as_json, report_output, strict, study_options, working_options
from checkerscope.experiments.cli.terminal import say

if TYPE_CHECKING:
    from checkerscope.experiments.execution.progress import Progress
    from checkerscope.experiments.execution.session import Session
    from checkerscope.experiments.reporting.collect import Collected

yes = click.option("--yes", is_flag=True, help="Start a grid of more than 10,000 runs without asking.")


@click.command(short_help="Train, measure, collect, draw, compile: all of it.")
@study_options
@working_options
@strict
@yes
@report_output
def study(config: Path, overrides: tuple[str, ...], results: Path, yes: bool, output: Path | None, **how: Any) -> int:
    """Do all of it: train what is missing, measure, collect, draw, compile, and show the main table.

    A shard is only trained and measured.
    """
    session = _open(config, overrides, results, **how)
    _check_report(session, output)
    with contextlib.closing(session):
        failures = session.train(allow_large=yes)
        failures += session.measure()
    showing.failures(failures)
    if session.shard.count > 1:
        say(f"shard {session.shard} of {session.name} has ended; when all have, run this without --shard")
    elif session.has_finished():
        collected = _gather(session)
        _save(collected, session.store.root / "records")
        _draw(session, collected, output)
    return 3 if failures or _lacks(session, session.progress()) else 0


@click.command()
@study_options
@working_options
@click.option("--dry-run", is_flag=True, help="Say what would be trained, and train nothing.")
@strict
@yes
@as_json
def run(
    config: Path, overrides: tuple[str, ...], results: Path, dry_run: bool, yes: bool, as_json: bool, **how: Any
) -> int:
    """Train every run of CONFIG that is not finished yet."""
    if dry_run:
        showing.plan(_grid(config, overrides), as_json)
        return 0
    session = _open(config, overrides, results, **how)
    with contextlib.closing(session):
        failures = session.train(allow_large=yes)
    state = session.progress()
    showing.runs(session, state, as_json)
    return 3 if failures or _lacks(session, state) else 0


@click.command(short_help="Count the runs of CONFIG that are done, failed or missing.")
@study_options
@click.option("--watch", is_flag=True, help="Repeat every two seconds until the study is complete.")
@as_json
def status(config: Path, overrides: tuple[str, ...], results: Path, watch: bool, as_json: bool) -> int:
    """Say how many runs of CONFIG are done, diverged, failed, missing or damaged."""
    import time

    session = _open(config, overrides, results)
    while watch and not session.progress().is_complete:
        say(session.status_line(), err=True)
        time.sleep(2)
    state = session.progress()
    showing.runs(session, state, as_json)
    return 3 if state.failed else 0


@click.command(short_help="Take the measures that finished runs of CONFIG lack.")
@study_options
@working_options
@as_json
def measure(config: Path, overrides: tuple[str, ...], results: Path, as_json: bool, **how: Any) -> int:
    """Take the measures of CONFIG that finished runs lack, without training."""
    session = _open(config, overrides, results, **how)
    if not session.has_finished():
        raise ValueError(f"{session.store.root}: no finished run to measure; start with: checkerscope run {config}")
    with contextlib.closing(session):
        failures = session.measure()
    if as_json:
        showing.show_json({"failures": failures})
    showing.failures(failures)
    return 3 if failures else 0


@click.command()
@study_options
@click.option(
    "--output", type=click.Path(path_type=Path), help="Folder of the records.  [default: results/<study>/records]"
)
@click.option("--publish", is_flag=True, help="Also write paper/data/<study>, which is committed.")
def collect(config: Path, overrides: tuple[str, ...], results: Path, output: Path | None, publish: bool) -> None:
    """Gather the numbers of finished runs into tidy CSV files."""
    from checkerscope.experiments.cli.options import refuse_folder
    from checkerscope.experiments.reporting import publish as publishing

    if publish:
        publishing.check()
    session = _open(config, overrides, results)
    folder = output or session.store.root / "records"
    refuse_folder("--results" if output is None else "--output", folder)
    collected = _gather(session, whole=publish)
    _save(collected, folder)
    say(folder)
    if publish:
        say(publishing.publish(collected.records))


@click.command(short_help="Draw the figures, build the tables, compile the PDF.")
@study_options(needed=False)
@report_output
@click.option("--check", is_flag=True, help="Compare the numbers with the published ones; exit 4 if they differ.")
def paper(config: Path | None, overrides: tuple[str, ...], results: Path, output: Path | None, check: bool) -> int:
    """Draw the figures, build the tables and compile the PDF of CONFIG: the report of that study.

    Reads the results folder where the study is complete there, else the published paper/data/<study>. Without CONFIG:
    the project's own manuscript, from all published records.
    """
    if config is None:
        if overrides or check:
            raise click.UsageError("--set and --check: expected a CONFIG")
        _manuscript(results, output)
        return 0
    session = _open(config, overrides, results)
    if check:
        return _compare(session)
    _check_report(session, output)
    _draw(session, _finished_or_published(session), output)
    return 0


def _open(config: Path, overrides: tuple[str, ...], results: Path, **how: Any) -> Session:
    from checkerscope.experiments.cli.terminal import Screen
    from checkerscope.experiments.execution.session import Session

    return Session.open(config, overrides, results, reporter=Screen(), **how)


def _grid(config: Path, overrides: tuple[str, ...]) -> Any:
    from checkerscope.experiments.study import config as configs
    from checkerscope.experiments.study.grid import Grid

    return Grid(configs.read(config, overrides), str(config))


def _check_report(session: Session, output: Path | None) -> None:
    """Refuse now what would fail after the training: a template that is not there, a folder that takes nothing."""
    from checkerscope.experiments.cli.options import refuse_folder
    from checkerscope.experiments.reporting import document
    from checkerscope.experiments.reporting.report import Place

    document.check()
    place = Place.of(session.store.root, output)
    for folder in (place.folder, place.pdf.parent):
        refuse_folder("--output" if output in (folder, place.pdf) else "--results", folder)


def _gather(session: Session, *, whole: bool = False) -> Collected:
    """Return the records of the finished runs, and say what is not there."""
    from checkerscope.experiments.reporting.collect import gather

    collected = gather(session.grid, session.store)
    if whole and (not collected.state.is_complete or len(collected.records.runs) < collected.state.total):
        raise ValueError(f"{session.status_line(collected.state)}; finish it before --publish, with: checkerscope run")
    if whole and (gaps := collected.gaps):
        first = f"{gaps[0]} ({len(gaps)} in all)"
        raise ValueError(f"{first}; take them before --publish, with: checkerscope measure")
    showing.left_out(session, collected)
    return collected


def _save(collected: Collected, folder: Path) -> None:
    from checkerscope.experiments.store.records import save_records

    save_records(collected.records, folder)


def _draw(session: Session, collected: Collected, output: Path | None) -> None:
    """Draw, compile, then show the main table and where everything lies."""
    from checkerscope.experiments.reporting import report

    place = report.Place.of(session.store.root, output)
    say = session.reporter.say
    made = report.write(collected.records, session.grid, place, gaps=collected.gaps, say=lambda line: say(f"  {line}"))
    showing.report(collected.records, made)


def _manuscript(results: Path, output: Path | None) -> None:
    from checkerscope.experiments.cli.options import refuse_folder
    from checkerscope.experiments.cli.terminal import Screen
    from checkerscope.experiments.reporting import document, manuscript

    document.check()
    place = manuscript.place(results, output)
    refuse_folder("--results" if output is None else "--output", place.folder)
    manuscript.write(place, Screen().say)
    showing.places({"PDF": place.pdf, "figures": place.folder})


def _finished_or_published(session: Session) -> Collected:
    """Return the study's records: of its results where they are complete, else the published ones."""
    from checkerscope.experiments.reporting.collect import Collected
    from checkerscope.experiments.store import disk
    from checkerscope.experiments.store.records import load_records
    from checkerscope.experiments.study import packaged

    state = session.progress()
    if state.is_complete:  # what lies in the records may be of fewer runs, or of other measures
        collected = _gather(session)
        with disk.if_writable():
            _save(collected, session.store.root / "records")
        return collected
    folder = packaged.published(session.name)
    if not folder.is_dir():
        raise ValueError(f"{session.status_line()}, and no published {folder}; finish it with: checkerscope study")
    records = load_records(folder)
    if records.study != session.name:
        raise ValueError(f"{folder}: expected records of {session.name}, got {records.study}")
    return Collected(records, state, ())


def _compare(session: Session) -> int:
    """Say which published numbers differ from those of the results folder."""
    from checkerscope.experiments.reporting.collect import gather
    from checkerscope.experiments.store.records import differences, load_records
    from checkerscope.experiments.study import packaged

    published = load_records(packaged.published(session.name))
    found = differences(gather(session.grid, session.store).records, published)
    for line in found:
        say(f"differs: {line}", err=True)
    return 4 if found else 0


def _lacks(session: Session, state: Progress) -> bool:
    """Return whether a run failed, or is not there although this session was to see to it."""
    return bool(state.failed or (state.missing and session.shard.count == 1))
