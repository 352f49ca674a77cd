"""Is nearest resize better than bilinear before a convolution?"""

from __future__ import annotations

from checkerscope.experiments.claims._autoencoder import Arm, column, plan, setting
from checkerscope.experiments.claims._compare import above, difference
from checkerscope.experiments.verdicts.contract import Verdict, judge, over

LABEL = "Nearest works better than bilinear"
SOURCE = "Odena 2016, doi:10.23915/distill.00003"
KIND = "landmark"
THEIR_SETTING = "GANs and style transfer; the authors offer it as experience."
OUR_SETTING = (
    "Autoencoder of two stages and 8 channels on 32 x 32 photographs, minutes of training; PSNR on other photographs."
)
STATEMENT = (
    "Resize-convolution gives its best results with nearest-neighbour interpolation, and bilinear is hard to make work."
)
NEAREST, BILINEAR = Arm("nearest_conv"), Arm("bilinear_conv")


def check(budget: str) -> Verdict:
    """Train both with the same 3 x 3 kernels."""
    steps, seeds = plan(budget)
    psnr = {arm: column(arm, "psnr", steps=steps, seeds=seeds) for arm in (NEAREST, BILINEAR)}
    gain = difference(psnr[NEAREST], psnr[BILINEAR], "dB")
    return Verdict(
        judge(above(gain, 0)),
        {
            "psnr_nearest": over(psnr[NEAREST], "dB"),
            "psnr_bilinear": over(psnr[BILINEAR], "dB"),
            "psnr_difference": gain,
        },
        setting(steps, seeds) + " The source says this of GANs and style transfer and offers it as experience. It holds"
        " here if the interval of the difference, paired by seed, lies above 0.",
        "In this autoencoder nearest is not better than bilinear by more than the seeds scatter.",
        key="psnr_difference",
    )
