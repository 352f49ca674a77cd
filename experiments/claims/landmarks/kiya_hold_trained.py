"""The zero-order hold in training: clean flat regions at the quality of the free layer?"""

from __future__ import annotations

from checkerscope.experiments.claims._autoencoder import Arm, column, plan, transposed
from checkerscope.experiments.claims._compare import below, difference, ratio
from checkerscope.experiments.verdicts.contract import Verdict, judge, over

LABEL = "The hold avoids checkerboards, quality kept"
SOURCE = "Sugawara 2018, arXiv:1806.02658"
KIND = "landmark"
THEIR_SETTING = "Super-resolution and classification networks, far larger."
OUR_SETTING = (
    "Autoencoder of two stages and 8 channels on 32 x 32 photographs, minutes of training; tone on flat images and "
    "PSNR."
)
STATEMENT = "With the zero-order hold, networks avoid checkerboard artifacts perfectly while they keep their quality."
HOLD = Arm("hold_conv", (("kernel_size", 3),))
FREE = transposed(4)


def check(budget: str) -> Verdict:
    """Train autoencoders with and without the hold: 3 x 3 taps and hold against 4 x 4 free taps, the same reach."""
    steps, seeds = plan(budget)
    tone = {arm: column(arm, "tone.flat_rms", steps=steps, seeds=seeds) for arm in (HOLD, FREE)}
    psnr = {arm: column(arm, "psnr", steps=steps, seeds=seeds) for arm in (HOLD, FREE)}
    loss, less = difference(psnr[HOLD], psnr[FREE], "dB"), ratio(tone[HOLD], tone[FREE])
    return Verdict(
        judge(max(tone[HOLD]) < 1e-5, not below(loss, -0.1)),
        {
            "flat_tone_hold": over(tone[HOLD], "image units"),
            "flat_tone_free": over(tone[FREE], "image units"),
            "flat_tone_ratio": less,
            "psnr_hold": over(psnr[HOLD], "dB"),
            "psnr_free": over(psnr[FREE], "dB"),
            "psnr_difference": loss,
        },
        f"Autoencoder on 32 x 32 photographs, {steps} steps (the paper: super-resolution and classification). 3 x 3"
        " taps with a hold of 2 x 2 are nearest + convolution, so constants stay constant through every layer.",
        "The hold keeps flat regions free of tone to rounding; whether quality is kept depends on what the free layer"
        " gains from its parameters.",
        key="flat_tone_ratio",
    )
