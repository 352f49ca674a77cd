"""The command `checkerscope inspect`: is there a grid in these images? Heavy imports stay inside."""

from __future__ import annotations

import io
import shutil
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from checkerscope.experiments.cli import terminal
from checkerscope.experiments.cli.options import PICTURES, as_json, output_file
from checkerscope.experiments.cli.terminal import say

if TYPE_CHECKING:
    from checkerscope.analysis.inspect import Inspection

#: Images and problems that the terminal shows; --json and --csv have all.
SHOWN = 8


@click.command(short_help="Find a grid in images: its period, strength, and where it is worst.")
@click.argument("paths", nargs=-1, required=True, metavar="PATHS...")
@click.option(
    "--reference", metavar="FOLDER", help="What the images should have been, paired by name: the difference is judged."
)
@click.option("--tile", type=click.IntRange(12), metavar="N", help="Side of the tiles that the images were made in.")
@output_file("--picture", kinds=PICTURES, metavar="FILE.png", help="Draw the evidence, as .png, .pdf or .svg.")
@output_file("--csv", kinds=(".csv",), metavar="FILE.csv", help="Write the strength of every image.")
@click.option("--fail-over", type=float, metavar="DB", help="Strength in dB above which the exit code is 1.")
@as_json
def inspect(
    paths: tuple[str, ...],
    reference: str | None,
    tile: int | None,
    picture: Path | None,
    csv: Path | None,
    fail_over: float | None,
    as_json: bool,
) -> int:
    """Tell whether there is a grid in images, of which period, how strong, and which are worst.

    PATHS are folders, files or quoted patterns, of any sizes and number. Strengths are relative to the contrast of
    the images; JPEG compression is told from a grid.

    Exit 0: judged; 1: a grid above --fail-over; 2: no image could be used.
    """
    from checkerscope.analysis.inspect import inspect as run

    with _Progress() as progress:
        found = run(list(paths), reference=reference, tile=tile, progress=progress)
    if picture is not None:
        _draw(found, picture)
    if csv is not None:
        _write_table(found, csv)
    if as_json:
        terminal.show_json(found.to_dict())
    else:
        for paragraph in _paragraphs(found):
            say(paragraph)
    return int(fail_over is not None and any(_over(grid.strength_db, fail_over) for grid in found.grids))


def _over(strength_db: float | None, limit: float) -> bool:
    return strength_db is not None and strength_db > limit


class _Progress:
    """A bar on standard error, if that is a terminal, for every pass over the images."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._what = ""

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, what: str, done: int, count: int) -> None:
        from tqdm import tqdm

        if what != self._what:
            if self._bar is not None:
                self._bar.close()
            self._bar, self._what = tqdm(desc=what, total=count, unit=" images", leave=False, disable=None), what
        self._bar.update(1)


def _paragraphs(found: Inspection) -> list[str]:
    """Return the answer, what else was found, the worst images and what could not be used, at the terminal's width."""
    parts = [_folded(found.verdict)]
    parts += [_folded(f"Beyond it: {grid.period} px, {_decibels(grid.strength_db)}.") for grid in found.grids[1:]]
    parts += [_folded(_said(other)) for other in found.others]
    if found.grid is not None and len(found.grid.by_period) > 1:
        rows = [{"lines of": f"{period} px", "dB": f"{db:.1f}"} for period, db in sorted(found.grid.by_period.items())]
        parts.append("\n" + terminal.columns(rows))
    if found.shows:
        rows = [
            {"dB": _decibels(image.strength_db, image.floor_db), "worst images": image.name}
            for image in found.images[:SHOWN]
        ]
        parts.append("\n" + terminal.columns(rows))
    if found.problems:
        rows = [{"name": name, "unusable": reason} for name, reason in found.problems[:SHOWN]]
        more = len(found.problems) - len(rows)
        parts.append("\n" + terminal.columns(rows) + (f"\nand {more} more" if more else ""))
        parts.append(f"{len(found.problems)} unusable, {len(found.images)} looked at")
    return [*parts, "", *(_folded(limit) for limit in found.limits)]


def _said(other: Any) -> str:
    levels = "" if other.levels is None else f", {other.levels:.2g} of 255 grey levels"
    what = {
        "compression": "JPEG compression has left its blocks, which no upsampler made",
        "staircase": "Staircase of a resize that repeats pixels",
        "mosaic": "Noise of a sensor's mosaic, or of an interpolation",
        "phase variance": "Noise that depends on the place in a period, as overlapping kernels make it",
    }[other.kind]
    return f"{what}: {other.period} px{levels}."


def _decibels(strength: float | None, floor: float | None = None) -> str:
    if strength is not None:
        return f"{strength:.1f}"
    return "-" if floor is None else f"< {floor:.1f}"


def _folded(text: str) -> str:
    return textwrap.fill(terminal.fit(text), min(shutil.get_terminal_size().columns, 100), break_on_hyphens=False)


def _draw(found: Inspection, path: Path) -> None:
    from checkerscope.analysis.figures import _inspection
    from checkerscope.experiments.store import disk

    figure = _inspection.draw(found)
    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix[1:], dpi=figure.dpi)
    disk.write(path, buffer.getvalue())


def _write_table(found: Inspection, path: Path) -> None:
    import csv

    from checkerscope.experiments.store import disk

    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, ["name", "strength_db", "floor_db", "shows"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(image.to_dict() for image in found.images)
    disk.write(path, buffer.getvalue().encode())
