"""The command line. Only click is imported here; everything heavy is imported by the command that needs it."""

from __future__ import annotations

import contextlib
import importlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from experiments.options import as_json, output_file, strict, study_options, working_options

if TYPE_CHECKING:
    from experiments.collect import Progress
    from experiments.session import Session

KINDS = {
    "upsamplers": "toolkit.upsamplers",
    "initializers": "toolkit.initializers",
    "images": "toolkit.images",
    "networks": "toolkit.networks",
    "remedies": "toolkit.remedies",
    "measures": "analysis.measures",
    "published": "analysis.measures.published",
    "figures": "analysis.figures",
    "tables": "analysis.tables",
    "claims": "experiments.claims",
}
#: Command groups of their own, loaded when they are asked for.
ELSEWHERE = {
    "audit": "experiments.audit_cli:audit",
    "claims": "experiments.claims_cli:claims",
    "cure": "experiments.cure_cli:cure",
    "geometry": "experiments.geometry_cli:geometry",
    "metric-audit": "experiments.metric_audit_cli:metric_audit",
    "slurm-script": "experiments.job_array_cli:slurm_script",
}


output = output_file("--output", help="PDF.  [default: paper/checkerscope.pdf]")


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *ELSEWHERE])

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in ELSEWHERE:
            module, _, attribute = ELSEWHERE[name].partition(":")
            return getattr(importlib.import_module(module), attribute)
        return super().get_command(ctx, name)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            from toolkit.catalog import closest

            known = self.list_commands(ctx)
            raise click.UsageError(f"no command {args[0]!r}; {closest(args[0], known)}", ctx) from None


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="checkerscope")
def cli() -> None:
    """Train, measure, audit and cure upsampling artifacts.

    A study is one TOML file: `checkerscope study configs/quick.toml` trains what is missing, measures, and ends in
    figures, tables and a PDF. Progress goes to standard error, results to standard output.
    """


def _open(config: Path, overrides: tuple[str, ...], results: Path, **how: Any) -> Session:
    from experiments.session import Session

    return Session.open(config, overrides, results, **how)


@cli.command("list", short_help="List components, or configs, without importing them.")
@click.argument("kind", type=click.Choice([*KINDS, "configs"]), required=False)
@as_json
def list_components(kind: str | None, as_json: bool) -> None:
    """List the components of one KIND, or the kinds, without importing any of them."""
    from toolkit import catalog

    if kind is None:
        counts = {**{k: len(catalog.names(p)) for k, p in KINDS.items()}, "configs": len(_configs())}
        _table([{"kind": k, "components": count} for k, count in counts.items()], as_json)
    elif kind == "configs":
        _table([{"name": path.as_posix(), "label": _question(path)} for path in _configs()], as_json)
    else:
        described = catalog.describe(KINDS[kind])
        if as_json:
            keep = ("name", "label", "source", "flags", "options", "broken")
            _json([{key: getattr(component, key) for key in keep} for component in described])
            return
        rows = [
            {"name": c.name, "label": "(skipped)" if c.broken else c.label, "source": c.broken or c.source}
            for c in described
        ]
        _table(rows, as_json)


@cli.command()
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
    from experiments import config as configs
    from experiments.grid import Grid

    grid = Grid(configs.read(config, overrides), str(config))
    factors = {key: len(values) for key, values in grid.factors.items()}
    if as_json:
        _json({"study": grid.config.study.name, "runs": len(grid), "factors": factors})
    else:
        product = " x ".join(f"{count} {key}" for key, count in factors.items())
        click.echo(f"{grid.config.study.name}: {len(grid)} runs ({product}, less exclusions); nothing was trained")
    return 0


@cli.command(short_help="Count the runs of CONFIG that are done, failed or missing.")
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


@cli.command(short_help="Take the measures that finished runs of CONFIG lack.")
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
        _json({"failures": failures})
    for line in failures:
        click.echo(f"failed: {line}", err=True)
    return 3 if failures else 0


@cli.command()
@study_options
@click.option("--publish", is_flag=True, help="Also write paper/data/<study>, which is committed.")
def collect(config: Path, overrides: tuple[str, ...], results: Path, publish: bool) -> None:
    """Gather the numbers of finished runs into tidy CSV files."""
    from experiments import publishing

    for folder in publishing.save_records(_open(config, overrides, results), publish=publish):
        click.echo(folder)


@cli.command(short_help="Draw the figures, build the tables, compile the PDF.")
@study_options
@output
@click.option("--check", is_flag=True, help="Compare the numbers with the committed ones; exit 4 if they differ.")
def paper(config: Path, overrides: tuple[str, ...], results: Path, output: Path | None, check: bool) -> int:
    """Draw the figures, build the tables and compile the PDF of CONFIG.

    Reads the results folder where the study is complete there, else the committed paper/data/<study>.
    """
    from experiments import publishing

    session = _open(config, overrides, results)
    if check:
        differences = publishing.differences(session)
        for line in differences:
            click.echo(f"differs: {line}", err=True)
        return 4 if differences else 0
    publishing.publish(session, output)
    return 0


@cli.command(short_help="Train, measure, collect, draw, compile: all of it.")
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
        from experiments import publishing

        publishing.save_records(session, publish=False)
        publishing.publish(session, output, collected=True)
    return 3 if failures or _lacks(session, session.progress()) else 0


@cli.command(short_help="Check every stored file under FOLDER against its digest.")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path("results"))
@as_json
def verify(folder: Path, as_json: bool) -> int:
    """Check every stored file under a results FOLDER against its digest; exit 1 if anything is damaged."""
    from experiments import terminal
    from experiments.verify import verify_folder

    checked, problems = verify_folder(folder)
    if as_json:
        _json({"checked": checked, "problems": problems})
    else:
        for line in problems:
            click.echo(terminal.fit(line))
        click.echo(f"{checked} files checked, {len(problems)} problem{'' if len(problems) == 1 else 's'}")
    return 1 if problems else 0


def _lacks(session: Session, state: Progress) -> bool:
    """Return whether a run failed, or is not there although this session was to see to it."""
    return bool(state.failed or (state.missing and session.shard.count == 1))


def _report_runs(session: Session, state: Progress, as_json: bool) -> None:
    if as_json:
        _json({**state.__dict__, "complete": state.is_complete})
    else:
        click.echo(session.status_line(state))
        for line in state.damaged:
            click.echo(f"damaged: {line}")
        for line in state.failures:
            click.echo(f"failed: {line}")


def _configs() -> list[Path]:
    return sorted(Path("configs").glob("*.toml"))


def _question(path: Path) -> str:
    """Return the question at the head of a config: the first comment, up to the next word at the margin."""
    found = re.match(r"# *(?:Question +)?(.*(?:\n# {3,}.*)*)", path.read_text(encoding="utf-8"))
    return re.sub(r"\s*\n# *", " ", found[1]) if found else ""


def _json(value: Any) -> None:
    click.echo(json.dumps(value, indent=1, default=str, allow_nan=False))


def _table(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        _json(rows)
        return
    from experiments.terminal import columns

    click.echo(columns(rows))
