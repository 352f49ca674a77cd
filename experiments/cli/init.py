"""The command `checkerscope init`: a first config for one's own images."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from checkerscope.experiments.cli.options import output_file
from checkerscope.experiments.cli.terminal import say


@click.command("init", short_help="Write a commented config for a folder of your own images.")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@output_file("--output", kinds=(".toml",), help="The config.  [default: <name of FOLDER>.toml]")
def init(folder: Path, output: Path | None) -> None:
    """Write a commented config that trains on the images in FOLDER; nothing is ever overwritten."""
    from checkerscope.experiments.store import disk
    from checkerscope.experiments.study import starter

    path = output or Path(f"{starter.name(folder.resolve().name)}.toml")
    if path.exists():
        raise ValueError(f"{path}: is there already, and nothing is overwritten; choose another name with --output")
    disk.write(path, starter.text(folder, path).encode())
    say(str(path))
    say(f"next: checkerscope study {shlex.quote(str(path))}", err=True)
