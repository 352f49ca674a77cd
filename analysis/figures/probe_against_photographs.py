"""What the decoder probe reads against the tone on held-out photographs, one mark per model."""

from __future__ import annotations

from matplotlib.figure import Figure

from checkerscope.analysis.figures import _style
from checkerscope.analysis.measures.decoder_probe import DIRTY
from checkerscope.analysis.records import Records
from checkerscope.analysis.tables import probe

LABEL = "Decoder probe against photographs"
CAPTION = (
    "Tone RMS that the probe reads from the decoder alone, without any image, against the tone on held-out photographs"
    " with content and noise removed; one mark per trained model, image units. Dashed: rounding error of 8-bit images,"
    " above which a model is called dirty. Readings below the lower end of an axis are drawn there."
)
NEEDS = ("decoder_probe.rms", "cycled_tone.rms_unbiased")
#: Below lies rounding (probe) or a corrected power that is not positive (photographs).
LOWEST = {"probe": 1e-8, "photographs": 1e-5}


@_style.styled
def draw(records: Records) -> Figure:
    """Return a scatter plot with two logarithmic axes."""
    table = probe.models(records)
    arms = list(dict.fromkeys(table["arm"]))
    looks = _style.looks(arms)
    fig = _style.figure(_style.PAGE * 0.72, _style.legend_height(2.9, len(arms)))
    ax = fig.subplots()
    for arm in arms:
        part = table[table["arm"] == arm]
        x, y = (part[column].clip(lower=low) for column, low in LOWEST.items())
        look = {key: looks[arm][key] for key in ("color", "marker")}
        ax.scatter(x, y, s=16, label=arm, linewidths=0.3, edgecolors="white", clip_on=False, **look)
    ax.axvline(DIRTY, color="0.4", linestyle="--", linewidth=0.7)
    ax.axhline(DIRTY, color="0.4", linestyle="--", linewidth=0.7)
    ax.set(xscale="log", yscale="log", xlabel="probe of the decoder, RMS (image units)")
    ax.set_ylabel("tone on photographs, RMS (image units)")
    ax.set_xlim(left=LOWEST["probe"])
    ax.set_ylim(bottom=LOWEST["photographs"])
    ax.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    return fig
