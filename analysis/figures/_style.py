"""What all figures share: size, palette, markers, and settings that no user's matplotlibrc changes."""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import LogFormatter, ScalarFormatter

from checkerscope.analysis.records import Records

#: Width of a text column and of a page's text block, inches.
COLUMN, PAGE = 3.4, 7.0
#: Pixels per inch of a drawn PNG.
DPI = 200
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
DASHES = ("-", "--", ":", "-.")

_RC = {
    **sns.axes_style("ticks"),
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.linewidth": 0.6,
    "grid.linewidth": 0.4,
    "lines.linewidth": 1.1,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "pdf.fonttype": 42,
    "svg.hashsalt": "checkerscope",
}
#: What would write the time of drawing into a file, by the file's format.
_UNDATED: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None},
    ".svg": {"Date": None},
}


@contextlib.contextmanager
def own_settings() -> Iterator[None]:
    """Draw under matplotlib's defaults and the house style, whatever the user's settings; put them back afterwards."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        yield


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Run a `draw` function under the house style; what it writes is taken as text, dollar signs included."""

    @functools.wraps(draw)
    def wrapped(*args: Any, **kwargs: Any) -> Figure:
        with own_settings():
            drawn = draw(*args, **kwargs)
            _take_as_text(drawn)
            return drawn

    return wrapped


#: Formatters that make their own labels, powers of ten among them; any other label may come from outside.
_COUNTED = (LogFormatter, ScalarFormatter)


def _take_as_text(figure: Figure) -> None:
    """Switch mathematics off wherever a text may come from outside."""
    formulas = {
        label
        for ax in figure.axes
        for axis in (ax.xaxis, ax.yaxis)
        for which in (False, True)
        if isinstance(axis.get_minor_formatter() if which else axis.get_major_formatter(), _COUNTED)
        for label in axis.get_ticklabels(minor=which)
    }
    for text in figure.findobj(Text):
        if isinstance(text, Text) and text not in formulas:
            text.set_parse_math(False)


def encoded(figure: Figure, suffix: str) -> bytes:
    """Return a figure as the bytes of a file; the same figure gives the same bytes.

    Args:
        figure: As a `draw` function returned it.
        suffix: `.png`, `.pdf` or `.svg`.
    """
    buffer = io.BytesIO()
    with own_settings():
        figure.savefig(buffer, format=suffix[1:], dpi=figure.dpi, metadata=_UNDATED[suffix])
    return buffer.getvalue()


def figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches, free of pyplot's global state."""
    fig = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(fig)
    return fig


def legend_height(least: float, entries: int) -> float:
    """Return a figure height in inches that has room for a legend beside the axes."""
    return max(least, 0.4 + 0.16 * entries)


def looks(arms: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return colour, marker and dash of every arm, fixed by config order (Okabe-Ito, readable in grey by marker)."""
    colors = mpl.color_sequences["okabe_ito"]
    return {
        arm: {
            "color": colors[i % len(colors)],
            "marker": MARKERS[i % len(MARKERS)],
            "linestyle": DASHES[(i // len(colors)) % len(DASHES)],
        }
        for i, arm in enumerate(arms)
    }


def arm_rows(ax: Axes, records: Records, arms: Sequence[str]) -> None:
    """Name the rows of a dot plot after the arms, first on top, and rule off those that see the encoder."""
    seeing = set(records.runs.loc[records.runs["needs_context"].astype(bool), "arm"])
    ax.set_yticks(range(len(arms)), [f"{arm} *" if arm in seeing else arm for arm in arms])
    ax.set_ylim(len(arms) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", alpha=0.5)


def unit(records: Records, metric: str) -> str:
    """Return a metric's unit for an axis label."""
    return records.units.get(metric, "")


def fold(name: str, width: int = 24) -> str:
    """Return a label on two lines if it is longer than `width` characters."""
    if len(name) <= width:
        return name
    at = name.rfind(" ", 0, width)
    return name if at < 0 else f"{name[:at]}\n{name[at + 1 :]}"
