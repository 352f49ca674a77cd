"""The picture of an audit: the grid along the module tree, its phase map, and the output's spectrum on noise.

Everything comes from the report. Phase map and spectrum cover a whole number of device pixels per value: resampling
would hide a grid, or make one.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from checkerscope.analysis.audit.report import Layer, Report, Step
from checkerscope.analysis.figures import _style
from checkerscope.toolkit import checks

#: Device pixels: width, title line, square panel and the room around it, labels and dots of the tree.
WIDTH, LINE, PANEL, ROOM = 1500, 30, 384, 116
LABELS, DOTS = 500, 300
#: Least and most height of a row of the tree.
ROW = (25, 38)
#: Rows of the tree; deeper modules are folded into their parents beyond.
MOST_ROWS = 48
#: Left end of the tone axis in dB; what is weaker is rounding.
FAINT_DB = -150.0
BLUE, RED, GREY = "#0072B2", "#D55E00", "#777777"


@dataclass(frozen=True)
class Row:
    """One line of the tree: a heading without a step, or a module or enlargement with its grid."""

    label: str
    depth: int
    step: Step | None = None


@_style.styled
def draw(report: Report) -> Figure:
    """Return the picture of a report.

    Raises:
        ValueError: If the report judged no output: there is nothing to draw.
    """
    if report.tone_db is None:
        raise checks.mismatch(
            "audit picture: report", "an output with a lattice", report.verdict, "there is no picture"
        )
    rows = tree(report.trace)
    title = textwrap.wrap(report.verdict.replace(" dB", "\N{NO-BREAK SPACE}dB"), 116)
    top = LINE * (len(title) + 1) + 40
    row = min(ROW[1], max(ROW[0], (2 * PANEL + ROOM) // len(rows)))
    panels, height = _places(top, row * len(rows))
    fig = _style.figure(WIDTH / _style.DPI, height / _style.DPI)
    fig.set_layout_engine("none")
    fig.text(20 / WIDTH, 1 - 14 / height, "\n".join(title), fontsize=8, va="top", linespacing=1.25)
    _tone_along_depth(_placed(fig, LABELS, top, DOTS, row * len(rows)), rows, report.layers)
    _phase_map(_placed(fig, *panels[0], PANEL, PANEL), report)
    _spectrum(_placed(fig, *panels[1], PANEL, PANEL), report)
    return fig


def _places(top: int, tall: int) -> tuple[list[tuple[int, int]], int]:
    """Return where the two panels are, left and top, and how high the figure is: beside a long tree, below a short."""
    if tall > PANEL:
        left = WIDTH - PANEL - 60
        return [(left, top), (left, top + PANEL + ROOM)], top + max(tall, 2 * PANEL + ROOM) + ROOM
    below = top + tall + ROOM + 40
    return [(100, below), (740, below)], below + PANEL + ROOM


def _placed(fig: Figure, left: int, top: int, width: int, height: int) -> Axes:
    """Return axes at a place in device pixels, `top` counted from above."""
    whole = fig.get_size_inches() * fig.dpi
    bottom = round(whole[1]) - top - height
    return fig.add_axes((left / whole[0], bottom / whole[1], width / whole[0], height / whole[1]))


def tree(trace: Sequence[Step], most: int = MOST_ROWS) -> list[Row]:
    """Return the lines of the tree in order of execution, as deep as `most` of them allow.

    >>> [row.label for row in tree([Step("up.0", "Conv2d", 0, 0), Step("up.0", "Conv2d", 0), Step("up", "Up", 0)])]
    ['up', '0']
    """
    for depth in range(max((_depth(step) for step in trace), default=0), 0, -1):
        rows = _rows([step for step in trace if _depth(step) <= depth or step.layer is not None], trace)
        if len(rows) <= most:
            return rows
    return _rows([step for step in trace if step.layer is not None or not step.path], trace)


def _depth(step: Step) -> int:
    return step.path.count(".") + bool(step.path)


def _rows(steps: Sequence[Step], trace: Sequence[Step]) -> list[Row]:
    """Return a line per step, and a heading for the modules that a step lies in and that are not there yet."""
    shown = {step.path for step in steps}
    rows: list[Row] = []
    open_: tuple[str, ...] = ()
    for index, step in enumerate(steps):
        parts = tuple(step.path.split(".")) if step.path else ()
        before = steps[index - 1] if index else None
        is_parent = any(other != step.path and _inside(other, step.path) for other in shown)
        is_repeated = before is not None and before.layer is not None and before.path == step.path
        if step.layer is None and step.path and (is_parent or is_repeated):
            continue  # a parent has its heading, and an enlargement its own line
        above = parts if step.layer is not None and is_parent else parts[:-1]
        common = next(
            (i for i, (a, b) in enumerate(zip(above, open_, strict=False)) if a != b), min(len(above), len(open_))
        )
        rows += [Row(".".join(above[common:]), common)] if above[common:] else []
        open_ = above
        rows.append(Row(_label(step, is_parent), len(above), step))
    return rows


def _inside(path: str, parent: str) -> bool:
    return not parent or path.startswith(f"{parent}.")


def _label(step: Step, is_parent: bool) -> str:
    if not step.path:
        return "output" if step.layer is None else "enlargement"
    return "enlargement" if is_parent and step.layer is not None else step.path.rpartition(".")[2]


def _tone_along_depth(ax: Axes, rows: Sequence[Row], layers: Sequence[Layer]) -> None:
    """Draw the tree as labels on the left of a dot plot."""
    points = [(max(FAINT_DB, row.step.tone_db), y) for y, row in enumerate(rows) if row.step is not None]
    ax.plot(*zip(*points, strict=True), color=GREY, linewidth=0.8, zorder=1)
    for y, row in enumerate(rows):
        name: dict[str, Any] = {"transform": ax.get_yaxis_transform(), "va": "center", "fontsize": 6, "clip_on": False}
        heading = row.step is None
        ax.text(
            0.05 * row.depth - LABELS / DOTS + 0.07, y, _cut(row, layers), color=GREY if heading else "black", **name
        )
        if row.step is None:
            continue
        layer = layers[row.step.layer] if row.step.layer is not None else None
        x = max(FAINT_DB, row.step.tone_db)
        color = GREY if layer is None else RED if layer.makes_grid and not layer.cancelled else BLUE
        ax.plot(x, y, "o" if layer is None else "D", color=color, markersize=3 if layer is None else 4.5, clip_on=False)
        if layer is not None and layer.output_db is not None:
            ax.text(1.04, y, f"{_db(layer.output_db)} at output", color=color, **name)
    ax.set_xlim(FAINT_DB, 5)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xticks([-150, -100, -50, 0])
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x", alpha=0.5)
    ax.set_title("grid along the network, flat input", loc="left", x=0.07 - LABELS / DOTS)
    ax.set_xlabel("dB of the map's own power (◆ enlargement, red: not cancelled)")


def _cut(row: Row, layers: Sequence[Layer]) -> str:
    """Return a row's label: name and kind, shortened to the room there is."""
    room = 56 - 2 * row.depth
    if row.step is None:
        return row.label if len(row.label) <= room else f"...{row.label[3 - room :]}"
    layer = layers[row.step.layer] if row.step.layer is not None else None
    kind = row.step.kind if layer is None else f"{layer.kind}, {layer.geometry}"
    return textwrap.shorten(f"{row.label}  {kind}", room, placeholder=" ...")


def _db(value: float) -> str:
    return "none" if value < FAINT_DB else f"{round(value) + 0:d} dB"


def _phase_map(ax: Axes, report: Report) -> None:
    """Draw the mean cell of the channel whose grid is strongest, repeated."""
    cells = report.phase_map[0]
    channel = int((cells.reshape(len(cells), -1) ** 2).mean(1).argmax())
    cell = cells[channel]
    limit = float(abs(cell).max()) or 1.0
    ax.set_title(f"phase map, channel {channel}: ± {limit:.2g}", loc="left")
    if cell.ndim == 1:
        ax.stem(np.arange(len(cell)), cell, linefmt=BLUE, markerfmt="o", basefmt=GREY)
        ax.set_xlabel("phase")
        return
    if cell.ndim == 3:  # the phases of the first axis side by side
        cell = np.concatenate(list(cell), 1)
    times = max(1, 16 // max(cell.shape))
    pixels = mpl.colormaps["RdBu_r"](0.5 + np.tile(cell, (times, times)) / (2 * limit))
    sides = _paste(ax, pixels)
    ax.set_xlabel(f"{sides[1]} x {sides[0]} pixels, {times} x {times} cells")
    ax.set_xticks([])
    ax.set_yticks([])


def _spectrum(ax: Axes, report: Report) -> None:
    """Draw the power of the output on noise over frequency, with the lattice frequencies marked."""
    power = np.fft.fftshift(report.spectrum)
    level = 10 * np.log10(np.maximum(power, power.max() * 1e-12) / np.median(power))
    level.flat[level.size // 2 + level.shape[-1] // 2 * (level.ndim > 1)] = 0  # the mean is taken out
    ax.set_title("spectrum on noise, dB", loc="left")
    if level.ndim == 1:
        ax.plot(np.linspace(-0.5, 0.5, len(level), endpoint=False), level, color=BLUE)
        for index in range(1, report.period[0]):
            ax.axvline((index / report.period[0] + 0.5) % 1 - 0.5, color=RED, linewidth=0.6, linestyle=":")
        ax.set_xlim(-0.5, 0.5)
        ax.set_xlabel("frequency, cycles per pixel")
        return
    if level.ndim == 3:
        level = level.max(0)
    low, high = max(-30.0, level.min()), level.max()
    _paste(ax, mpl.colormaps["viridis"](np.clip((level - low) / ((high - low) or 1.0), 0, 1)))
    _mark_lattice(ax, report.period[-2:], level.shape)
    ax.set_title(f"spectrum on noise, {low:.0f} to {high:.0f} dB", loc="left")
    ax.set_xlabel("frequency, cycles per pixel")


def _mark_lattice(ax: Axes, period: Sequence[int], shape: Sequence[int]) -> None:
    """Ring the lattice frequencies; of long periods only the axes' ones, which would hide the picture."""
    rows, columns = (np.fft.fftfreq(p) for p in period)
    marks = [(x, y) for y in rows for x in columns if (x or y) and (max(period) <= 8 or not (x and y))]
    rows_half, columns_half = (0.5 / side for side in shape)  # a frequency is at the centre of its pixel
    ax.set_xlim(-0.5 - columns_half, 0.5 - columns_half)
    ax.set_ylim(0.5 - rows_half, -0.5 - rows_half)
    for x, y in marks:
        ax.plot(
            x, y, "o", markerfacecolor="none", markeredgecolor="white", markersize=5, markeredgewidth=0.6, clip_on=False
        )
    ax.set_xticks([-0.5, -0.25, 0, 0.25], ["-½", "-¼", "0", "¼"])
    ax.set_yticks([-0.5, -0.25, 0, 0.25], ["-½", "-¼", "0", "¼"])


def _paste(ax: Axes, pixels: np.ndarray) -> tuple[int, int]:
    """Put a picture at a whole number of device pixels per value into the axes, which shrink to it; return its sides.

    A picture larger than the axes is pooled by its maximum: a line must not fall between pixels.
    """
    height, width = pixels.shape[:2]
    pool = max(1, -(-max(height, width) // PANEL))
    if pool > 1:
        cut = pixels[: height // pool * pool, : width // pool * pool]
        pixels = cut.reshape(height // pool, pool, width // pool, pool, 4).max((1, 3))
    times = PANEL // max(pixels.shape[:2])
    pixels = pixels.repeat(times, 0).repeat(times, 1)
    fig = ax.get_figure(root=True)
    if fig is None:
        return height, width
    whole = np.round(fig.get_size_inches() * fig.dpi)
    x, top = round(ax.get_position().x0 * whole[0]), round(ax.get_position().y1 * whole[1])
    bottom = top - len(pixels)
    ax.set_position((x / whole[0], bottom / whole[1], pixels.shape[1] / whole[0], len(pixels) / whole[1]))
    ax.patch.set_visible(False)
    ax.spines[:].set_visible(False)
    fig.figimage(pixels, xo=x, yo=bottom, origin="upper", zorder=-1)
    return height, width
