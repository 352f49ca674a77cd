"""Checkerboard power against reconstruction quality, one point per run."""

from __future__ import annotations

import seaborn as sns
from matplotlib.figure import Figure

from checkerscope.analysis.figures import _style
from checkerscope.analysis.records import Records

LABEL = "Artifact against reconstruction quality"
CAPTION = (
    "Tone of the residual against PSNR, both on held-out images after training, one mark per run. Down and to the right"
    " is better. Arms marked * see the encoder's features or indices."
)
NEEDS = ("tone.residual_rms", "reconstruction.psnr")


@_style.styled
def draw(records: Records) -> Figure:
    """Return a scatter plot with a logarithmic tone axis."""
    columns = ["run", "arm", "needs_context", "value"]
    tone = records.metric(NEEDS[0])[columns].rename(columns={"value": "tone"})
    psnr = records.metric(NEEDS[1])[["run", "value"]].rename(columns={"value": "psnr"})
    points = tone.merge(psnr, on="run").query("tone > 0")
    points["arm"] += points["needs_context"].astype(bool).map({True: " *", False: ""})
    order = list(dict.fromkeys(points["arm"]))
    looks = _style.looks(order)
    fig = _style.figure(_style.PAGE * 0.72, _style.legend_height(2.9, len(order)))
    ax = fig.subplots()
    if points.empty:
        ax.set_title("no finished run")
        return fig
    sns.scatterplot(
        points,
        x="psnr",
        y="tone",
        hue="arm",
        style="arm",
        hue_order=order,
        style_order=order,
        palette=[looks[arm]["color"] for arm in order],
        markers=[looks[arm]["marker"] for arm in order],
        s=26,
        linewidth=0.3,
        ax=ax,
    )
    ax.set_yscale("log")
    ax.set_xlabel("PSNR, held-out images (dB)")
    ax.set_ylabel(f"tone of the residual ({_style.unit(records, NEEDS[0])})")
    ax.grid(alpha=0.5)
    sns.move_legend(ax, "center left", bbox_to_anchor=(1.0, 0.5), title=None)
    return fig
