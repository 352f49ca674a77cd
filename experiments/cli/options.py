"""Options that several commands share."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

#: What pictures can be drawn as.
PICTURES = (".png", ".pdf", ".svg")
FILE = click.Path(dir_okay=False, path_type=Path)

as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")

strict = click.option(
    "--strict", is_flag=True, help="Refuse to add to runs that other code, versions, threads or machines have made."
)


def results_folder(said: str = "Results folder.") -> Callable[..., Any]:
    """Return the option for the folder that holds all studies."""

    def check(ctx: click.Context, parameter: click.Parameter, path: Path) -> Path:
        from checkerscope.experiments.study import packaged

        if packaged.is_own(path):
            raise ValueError(f"--results: {path}: inside the program itself; choose another folder")
        return path

    return click.option(
        "--results",
        type=click.Path(path_type=Path),
        default=Path("results"),
        show_default=True,
        callback=check,
        help=said,
    )


def refuse_folder(name: str, folder: Path) -> None:
    """Refuse a folder that cannot take what a command makes, before it makes it.

    Raises:
        ValueError: If it is a file, inside the program itself, or not writable.
    """
    from checkerscope.experiments.study import packaged

    if packaged.is_own(folder):
        raise ValueError(f"{name}: {folder}: inside the program itself; choose another folder")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{name}: expected a folder or a new name, got {folder}; choose another name")
    _refuse_closed(name, folder)


def _output(ctx: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Check where a report is to go: a name that ends in .pdf is a file, any other a folder."""
    if path is not None and path.suffix == ".pdf":
        _refuse_unwritable("--output", path)
    elif path is not None:
        _refuse_empty("--output", path)
        refuse_folder("--output", path)
    return path


report_output = click.option(
    "--output",
    type=click.Path(path_type=Path),
    callback=_output,
    metavar="PDF|FOLDER",
    help="PDF, or a folder for figures, tables and PDF.  [default: RESULTS/<study>/report]",
)


def output_file(name: str, *, kinds: tuple[str, ...] = (), **how: Any) -> Callable[..., Any]:
    """Return the option for a file that a command writes at its end; what cannot be written is refused at once.

    Args:
        name: Of the option.
        kinds: How the file's name may end; by default as it likes.
        how: More of `click.option`.
    """

    def check(ctx: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
        if path is not None:
            _refuse_unwritable(name, path)
            if kinds and path.suffix not in kinds:
                raise ValueError(f"{name}: expected a name that ends in {', '.join(kinds)}, got {path}")
        return path

    return click.option(name, type=FILE, callback=check, **how)


def _refuse_unwritable(name: str, path: Path) -> None:
    _refuse_empty(name, path)
    try:
        path.exists()
    except OSError as error:  # a name too long for the file system
        raise ValueError(f"{name}: {path}: {error.strerror}; choose another name") from None
    if path.exists() and not path.is_file():  # renaming a file to it would replace a device, a pipe or a socket
        raise ValueError(f"{name}: expected a regular file or a new name, got {path}; choose another name")
    refuse_folder(name, path.parent)


def _refuse_empty(name: str, path: Path) -> None:
    if path == Path():
        raise ValueError(f"{name}: expected a name, got an empty one")


def _refuse_closed(name: str, path: Path) -> None:
    folder = next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ValueError(f"{name}: {folder}: not writable ({error.strerror}); choose another folder") from None


def _config(ctx: click.Context, parameter: click.Parameter, given: Path | None) -> Path | None:
    from checkerscope.experiments.study import packaged

    return None if given is None else packaged.config_file(given)


def study_options(command: Callable[..., Any] | None = None, *, needed: bool = True) -> Callable[..., Any]:
    """Give a command a config argument and the options that every study command has.

    Args:
        command: What gets them; without it, what gives them is returned.
        needed: Whether there must be a config.
    """
    if command is None:
        return lambda command: study_options(command, needed=needed)
    options = [
        click.argument("config", type=click.Path(path_type=Path), callback=_config, required=needed),
        click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a config value."),
        results_folder(),
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
        click.option(
            "--dask-tls",
            type=click.Path(file_okay=False, path_type=Path),
            metavar="FOLDER",
            help="key.pem and cert.pem of the cluster, for --dask tls://... or --slurm; made where there are none. Who"
            " holds them is let in.",
        ),
        click.option(
            "--dask-insecure", is_flag=True, help="Take a cluster that listens to the network without encryption."
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
