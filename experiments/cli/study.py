"""The commands of a study: run, measure, collect, paper, status, and study, which is all of them."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from checkerscope.experiments.cli.options import as_json, output_file, strict, study_options, working_options
from checkerscope.experiments.cli.terminal import show_json

if TYPE_CHECKING:
    from checkerscope.experiments.execution.progress import Progress
    from checkerscope.experiments.execution.session import Session

output = output_file("--output", help="PDF.  [default: paper/checkerscope.pdf]")


def _open(config: Path, overrides: tuple[str, ...], results: Path, **how: Any) -> Session:
    from checkerscope.experiments.execution.session import Session

    return Session.open(config, overrides, results, **how)


@click.command()
@study_options
@working_options
@click.option("--dry-run", is_flag=True, help="Say what would be trained, and train nothing.")
@strict
@click.option("--yes", is_flag=True, help="Start a grid of more than 10,000 runs without asking.")
@as_json
def run(
    config: Path, overrides: tuple[str, ...], results: Path, dry_run: bool, yes: bool, as_json: bool, **how: Any
) -> int:
    """Train every run of CONFIG that is not finished yet."""
    if dry_run:
        return _dry_run(config, overrides, as_json)
    session = _open(config, overrides, results, **how)
    with contextlib.closing(session):
        failures = session.train(allow_large=yes)
    state = session.progress()
    _report_runs(session, state, as_json)
    return 3 if failures or _lacks(session, state) else 0


def _dry_run(config: Path, overrides: tuple[str, ...], as_json: bool) -> int:
    from checkerscope.experiments.study import config as configs
    from checkerscope.experiments.study.grid import Grid

    grid = Grid(configs.read(config, overrides), str(config))
    factors = {key: len(values) for key, values in grid.factors.items()}
    if as_json:
        show_json({"study": grid.config.study.name, "runs": len(grid), "factors": factors})
    else:
        product = " x ".join(f"{count} {key}" for key, count in factors.items())
        click.echo(f"{grid.config.study.name}: {len(grid)} runs ({product}, less exclusions); nothing was trained")
    return 0


@click.command(short_help="Count the runs of CONFIG that are done, failed or missing.")
@study_options
@click.option("--watch", is_flag=True, help="Repeat every two seconds until the study is complete.")
@as_json
def status(config: Path, overrides: tuple[str, ...], results: Path, watch: bool, as_json: bool) -> int:
    """Say how many runs of CONFIG are done, diverged, failed, missing or damaged."""
    import time

    session = _open(config, overrides, results)
    while watch and not session.progress().is_complete:
        click.echo(session.status_line(), err=True)
        time.sleep(2)
    state = session.progress()
    _report_runs(session, state, as_json)
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
        show_json({"failures": failures})
    for line in failures:
        click.echo(f"failed: {line}", err=True)
    return 3 if failures else 0


@click.command()
@study_options
@click.option("--publish", is_flag=True, help="Also write paper/data/<study>, which is committed.")
def collect(config: Path, overrides: tuple[str, ...], results: Path, publish: bool) -> None:
    """Gather the numbers of finished runs into tidy CSV files."""
    from checkerscope.experiments.reporting import publish as publishing

    for folder in publishing.collect_records(_open(config, overrides, results), publish=publish):
        click.echo(folder)


@click.command(short_help="Draw the figures, build the tables, compile the PDF.")
@study_options
@output
@click.option("--check", is_flag=True, help="Compare the numbers with the committed ones; exit 4 if they differ.")
def paper(config: Path, overrides: tuple[str, ...], results: Path, output: Path | None, check: bool) -> int:
    """Draw the figures, build the tables and compile the PDF of CONFIG.

    Reads the results folder where the study is complete there, else the committed paper/data/<study>.
    """
    from checkerscope.experiments.reporting import publish as publishing

    session = _open(config, overrides, results)
    if check:
        differences = publishing.differences(session)
        for line in differences:
            click.echo(f"differs: {line}", err=True)
        return 4 if differences else 0
    publishing.publish(session, output)
    return 0


@click.command(short_help="Train, measure, collect, draw, compile: all of it.")
@study_options
@working_options
@strict
@click.option("--yes", is_flag=True, help="Start a grid of more than 10,000 runs without asking.")
@output
def study(config: Path, overrides: tuple[str, ...], results: Path, yes: bool, output: Path | None, **how: Any) -> int:
    """Do all of it: train what is missing, measure, collect, draw, compile, and show the main table.

    A shard is only trained and measured.
    """
    session = _open(config, overrides, results, **how)
    with contextlib.closing(session):
        failures = session.train(allow_large=yes)
        failures += session.measure()
    for line in failures:
        click.echo(f"failed: {line}", err=True)
    if session.shard.count > 1:
        click.echo(f"shard {session.shard} of {session.name} has ended; when all have, run this without --shard")
    elif session.has_finished():
        from checkerscope.experiments.reporting import publish as publishing

        publishing.collect_records(session, publish=False)
        publishing.publish(session, output, collected=True)
    return 3 if failures or _lacks(session, session.progress()) else 0


def _lacks(session: Session, state: Progress) -> bool:
    """Return whether a run failed, or is not there although this session was to see to it."""
    return bool(state.failed or (state.missing and session.shard.count == 1))


def _report_runs(session: Session, state: Progress, as_json: bool) -> None:
    if as_json:
        show_json({**state.__dict__, "complete": state.is_complete})
    else:
        click.echo(session.status_line(state))
        for line in state.damaged:
            click.echo(f"damaged: {line}")
        for line in state.failures:
            click.echo(f"failed: {line}")
