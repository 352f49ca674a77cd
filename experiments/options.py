"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")

strict = click.option(
    "--strict", is_flag=True, help="Refuse to add to runs that other code, versions, threads or machines have made."
)


def study_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command a config argument and the options that every study command has."""
    options = [
        click.argument("config", type=click.Path(dir_okay=False, path_type=Path)),
        click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a config value."),
        click.option(
            "--results",
            type=click.Path(path_type=Path),
            default=Path("results"),
            show_default=True,
            help="Results folder.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def working_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of those that start workers."""
    options = [
        click.option(
            "--workers",
            "count",
            type=click.IntRange(0, 1024),
            help="Worker processes, or jobs; 0 works in this process, for a debugger.  [default: one per core or GPU]",
        ),
        click.option(
            "--dask",
            metavar="ADDRESS",
            help="Work on a running Dask cluster whose workers see the results folder under the same path. A Dask"
            " scheduler has no authentication: tls://HOST:PORT, or loopback.",
        ),
        click.option("--slurm", is_flag=True, help="Work in --workers N jobs of Slurm, through dask-jobqueue."),
        click.option(
            "--shard",
            metavar="I/N",
            help="Take every N-th run from the I-th on; a later call without it collects what all shards left.",
        ),
        click.option(
            "--engine",
            type=click.Choice(["auto", "loop", "graph", "grouped"]),
            default="auto",
            show_default=True,
            help="How a worker trains runs that differ by their seeds only: one by one (loop), as branches of a CUDA"
            " graph, or as channel groups of one network; auto times them on a GPU, and takes the loop on a CPU.",
        ),
        click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:N or auto."),
        click.option(
            "--threads", type=click.IntRange(1, 256), default=1, show_default=True, help="Threads per worker."
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command
