"""Even overlap after training: artifacts still, but milder?"""

from __future__ import annotations

from checkerscope.experiments.claims._autoencoder import column, plan, setting, transposed
from checkerscope.experiments.claims._compare import above, below, ratio
from checkerscope.experiments.verdicts.contract import Verdict, judge, over

LABEL = "Even overlap: milder, not gone"
SOURCE = "Odena 2016, doi:10.23915/distill.00003"
KIND = "landmark"
THEIR_SETTING = "Generators of GANs, by eye."
OUR_SETTING = (
    "Autoencoder of two stages and 8 channels on 32 x 32 photographs, minutes of training; tone on flat images."
)
STATEMENT = (
    "Models with even overlap often learn kernels that cause similar artifacts, although milder ones than uneven"
    " overlap."
)
UNEVEN, EVEN = transposed(3), transposed(4)
#: One step of an 8-bit image: a tone below it is no artifact.
VISIBLE = 1 / 255


def check(budget: str) -> Verdict:
    """Train with kernels 3 and 4 at stride 2 and compare the tone on flat images."""
    steps, seeds = plan(budget)
    uneven, even = (column(arm, "tone.flat_rms", steps=steps, seeds=seeds) for arm in (UNEVEN, EVEN))
    quotient, tone = ratio(even, uneven), over(even, "image units")
    return Verdict(
        judge(above(tone, VISIBLE / 4), below(quotient, 1)),
        {
            "flat_tone_k3": over(uneven, "image units"),
            "flat_tone_k4": tone,
            "k4_over_k3": quotient,
            "photo_tone_k3": over(
                column(UNEVEN, "tone.residual_rms_unbiased", steps=steps, seeds=seeds), "image units"
            ),
            "photo_tone_k4": over(column(EVEN, "tone.residual_rms_unbiased", steps=steps, seeds=seeds), "image units"),
        },
        setting(steps, seeds) + " Similar artifacts: the interval of the tone at k = 4 lies above a quarter of an 8-bit"
        " step. Milder: the interval of the ratio, paired by seed, lies below 1.",
        "Models with even overlap learn artifacts too, and after training not reliably milder ones.",
        key="k4_over_k3",
    )
