"""The command that prints a job array for plain Slurm."""

from __future__ import annotations

import errno
import stat
from pathlib import Path
from typing import Any

import click

from checkerscope.experiments.cli.options import study_options
from checkerscope.experiments.cli.terminal import say


@click.command("slurm-script", short_help="Print a job array for plain Slurm.")
@study_options
@click.option("--jobs", type=click.IntRange(1), default=8, show_default=True, help="Size of the job array.")
@click.option("--threads", type=click.IntRange(1, 256), default=1, show_default=True, help="Cores of each job.")
@click.option("--memory", default="2G", show_default=True, help="Memory of each job, as Slurm writes it.")
@click.option("--time", "limit", default="04:00:00", show_default=True, help="Time limit of each job.")
def slurm_script(config: Path, overrides: tuple[str, ...], results: Path, jobs: int, **size: Any) -> None:
    """Print a job array for plain Slurm that trains and measures CONFIG: `sbatch` takes it.

    Each job works on one shard with one worker; a lost job loses only what it did since its last checkpoint, and the
    array may be submitted again. A plain `checkerscope study CONFIG` then collects.
    """
    from checkerscope.experiments.study import config as configs
    from checkerscope.experiments.study.grid import Grid
    from checkerscope.experiments.workers.job_array import Job, script

    grid = Grid(configs.read(config, overrides), str(config))
    options = [str(config.resolve()), "--results", str(_destination(results))]
    options += [word for override in overrides for word in ("--set", override)]
    say(script(grid.config.study.name, len(grid), options, Job(jobs, **size)).rstrip("\n"))


def _destination(results: Path) -> Path:
    """Return a results folder's full path; it need not be there yet.

    Raises:
        ValueError: If it is a file, or a circle of links, which `resolve` passes over in silence from Python 3.13 on.
    """
    try:
        if not stat.S_ISDIR(results.stat().st_mode):
            raise ValueError(f"--results {results}: expected a folder or a new name, got a file; choose another name")
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ValueError(f"--results {results}: expected a folder, got a circle of links; choose another") from None
    return results.resolve()
