"""The picture of an inspection: spectrum, one period of the grid, evidence by period, and the worst image.

Spectrum, period and crops cover a whole number of device pixels per value: resampling would hide a grid, or make one.
"""

from __future__ import annotations

import textwrap
from itertools import product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from checkerscope.analysis.figures import _style
from checkerscope.analysis.inspect import Grid, Inspection

#: Device pixels: width, side of a panel, room to its left and above it, height of a title line.
WIDTH, PANEL, LEFT, ABOVE, LINE = 1920, 512, 100, 70, 30
#: Range of the spectrum in dB over its median.
SPECTRUM_DB = (-5.0, 25.0)
#: Most lines that are circled in the spectrum.
MOST_MARKS = 300
BLUE, RED, GREY = "#0072B2", "#D55E00", "#777777"


@_style.styled
def draw(found: Inspection) -> Figure:
    """Return the picture of an inspection; without a grid there is one row, spectrum and evidence."""
    besides = "".join(f" Besides: {other.kind}, {other.period} px." for other in found.others)
    title = textwrap.wrap((found.verdict + besides).replace(" dB", "\N{NO-BREAK SPACE}dB"), 140)
    top = LINE * (len(title) + 1)
    rows = 2 if found.exhibit.crop is not None else 1
    height = top + rows * (PANEL + ABOVE + 90)
    fig = _style.figure(WIDTH / _style.DPI, height / _style.DPI)
    fig.set_layout_engine("none")
    fig.text(20 / WIDTH, 1 - 14 / height, "\n".join(title), fontsize=8, va="top", linespacing=1.25)
    first = top + ABOVE
    _spectrum(fig, LEFT, first, found)
    _evidence(_placed(fig, 2 * LEFT + PANEL + 20, first, PANEL, PANEL), found)
    if found.grid is not None and found.exhibit.crop is not None and found.exhibit.cured is not None:
        _pattern(fig, 3 * LEFT + 2 * PANEL + 40, first, found.grid)
        second = first + PANEL + ABOVE + 80
        name = found.images[0].name if found.images else ""
        _picture(fig, LEFT, second, found.exhibit.crop, f"{_shortened(name)}: flattest piece, as it is")
        _picture(fig, 2 * LEFT + PANEL + 20, second, found.exhibit.cured, "The same, the grid removed")
        _picture(
            fig, 3 * LEFT + 2 * PANEL + 40, second, _stretched(found.exhibit.crop - found.exhibit.cured),
            "What was removed, its contrast stretched",
        )  # fmt: skip
    return fig


def _shortened(name: str, most: int = 28) -> str:
    kept = "".join(character if character.isprintable() else "?" for character in name).replace("$", r"\$")
    return kept if len(kept) <= most else f"...{kept[-most:]}"


def _stretched(values: NDArray[np.float64]) -> NDArray[np.float64]:
    reach = max(float(np.abs(values).max()), 1e-12)
    return 0.5 + values / (2 * reach)


def _placed(fig: Figure, left: int, top: int, width: int, height: int) -> Axes:
    """Return axes at a place in device pixels, `top` counted from above."""
    whole = fig.get_size_inches() * fig.dpi
    bottom = round(whole[1]) - top - height
    return fig.add_axes((left / whole[0], bottom / whole[1], width / whole[0], height / whole[1]))


def _magnified(fig: Figure, left: int, top: int, shape: tuple[int, ...]) -> Axes:
    """Return axes for an array of values, each a whole number of device pixels wide and high."""
    factor = max(1, PANEL // max(shape[:2]))
    return _placed(fig, left, top, shape[1] * factor, shape[0] * factor)


def _picture(fig: Figure, left: int, top: int, values: NDArray[np.float64], title: str) -> None:
    shown = np.moveaxis(np.clip(values, 0, 1), 0, -1)
    ax = _magnified(fig, left, top, shown.shape)
    ax.imshow(shown, interpolation="nearest", aspect="auto")
    ax.set_title(title, loc="left")
    ax.set_axis_off()


def _spectrum(fig: Figure, left: int, top: int, found: Inspection) -> None:
    power = found.exhibit.spectrum
    ax = _magnified(fig, left, top, power.shape)
    ax.imshow(
        power, cmap="gray", vmin=SPECTRUM_DB[0], vmax=SPECTRUM_DB[1], interpolation="nearest", aspect="auto",
        extent=(-0.5, 0.5, 0.5, -0.5),
    )  # fmt: skip
    if found.grid is not None:
        marks = np.array(_lines(found.grid))
        if len(marks) <= MOST_MARKS:
            ax.scatter(marks[:, 1], marks[:, 0], s=22, facecolors="none", edgecolors=RED, linewidths=0.7)
    ax.set(xlim=(-0.5, 0.5), ylim=(0.5, -0.5), xlabel="cycles per pixel", ylabel="cycles per pixel")
    ax.set_title("Mean spectrum" + ("; circles: the grid's lines" if found.grid else ""), loc="left")


def _lines(grid: Grid) -> list[tuple[float, float]]:
    """Return the frequencies of a grid's lines, between -1/2 and 1/2; half a cycle at both ends."""
    axes = [
        sorted({(k / period + 0.5) % 1 - 0.5 for k in range(period)} | ({0.5} if period % 2 == 0 else set()))
        for period in grid.periods
    ]
    return [(row, column) for row, column in product(*axes) if (row, column) != (0.0, 0.0)]


def _evidence(ax: Axes, found: Inspection) -> None:
    """Draw the evidence of the lines that have each smallest period."""
    periods = np.array(list(found.exhibit.log10_p))
    evidence = np.minimum(-np.array([found.exhibit.log10_p[period] for period in periods]), 300.0)
    family = set(found.grid.by_period) if found.grid is not None else set()
    ax.bar(periods, evidence, width=0.8, color=[RED if period in family else BLUE for period in periods])
    if found.grid is not None:
        strengths = "\n".join(f"{period} px: {db:.1f} dB" for period, db in sorted(found.grid.by_period.items()))
        ax.text(0.99, 0.98, strengths, color=RED, ha="right", va="top", transform=ax.transAxes, fontsize=7)
    ax.axhline(2, color=GREY, linewidth=0.8, linestyle="--")
    ax.text(0.99, 2, "p = .01", color=GREY, ha="right", va="bottom", transform=ax.get_yaxis_transform(), fontsize=7)
    ax.set_yscale("symlog", linthresh=2)
    ax.set_ylim(0, max(5.0, float(evidence.max(initial=0)) * 1.5))
    ax.set(xlabel="smallest period of the lines (px)", ylabel="evidence, -log10 of the corrected p")
    ax.set_title("Evidence and strength by period", loc="left")


def _pattern(fig: Figure, left: int, top: int, grid: Grid) -> None:
    levels = 255 * grid.pattern.mean(0)
    ax = _magnified(fig, left, top, _square(levels).shape)
    reach = max(float(np.abs(levels).max()), 1e-9)
    shown = ax.imshow(_square(levels), cmap="RdBu_r", vmin=-reach, vmax=reach, interpolation="nearest", aspect="auto")
    ax.set_title("One period, in grey levels of 255", loc="left")
    ax.set(xticks=[], yticks=[])
    fig.colorbar(shown, cax=ax.inset_axes((0.0, -0.09, 1.0, 0.04)), orientation="horizontal")


def _square(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return stripes of a period repeated across, so that their panel has an area."""
    rows, columns = levels.shape
    return np.tile(levels, (columns if rows == 1 else 1, rows if columns == 1 else 1))
