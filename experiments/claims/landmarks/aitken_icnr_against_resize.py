"""After training: does ICNR reach smaller errors than resize-convolution at the same computation?"""

from __future__ import annotations

from checkerscope.experiments.claims._autoencoder import Arm, column, plan
from checkerscope.experiments.claims._compare import above, difference
from checkerscope.experiments.verdicts.contract import Verdict, judge, over

LABEL = "ICNR beats resize-convolution"
SOURCE = "Aitken 2017, arXiv:1707.02937"
KIND = "landmark"
THEIR_SETTING = "Super-resolution networks on images, trained far longer; test error."
OUR_SETTING = (
    "Autoencoder of two stages and 8 channels on 32 x 32 photographs, minutes of training; PSNR on other photographs."
)
STATEMENT = (
    "At the same computational complexity, sub-pixel convolution with ICNR has more modelling power than"
    " resize-convolution and converges to smaller test errors."
)
ICNR, RESIZE = Arm("pixel_shuffle", initializer="icnr"), Arm("nearest_conv")


def check(budget: str) -> Verdict:
    """Train both with 3 x 3 kernels, that is s^2 k^2 products per input value, and s^2 times the weights for one."""
    steps, seeds = plan(budget)
    psnr = {arm: column(arm, "psnr", steps=steps, seeds=seeds) for arm in (ICNR, RESIZE)}
    tone = {arm: column(arm, "tone.flat_rms", steps=steps, seeds=seeds) for arm in (ICNR, RESIZE)}
    gain = difference(psnr[ICNR], psnr[RESIZE], "dB")
    return Verdict(
        judge(above(gain, 0)),
        {
            "psnr_icnr": over(psnr[ICNR], "dB"),
            "psnr_resize": over(psnr[RESIZE], "dB"),
            "psnr_difference": gain,
            "flat_tone_icnr": over(tone[ICNR], "image units"),
            "flat_tone_resize": over(tone[RESIZE], "image units"),
        },
        f"Autoencoder on 32 x 32 photographs, {steps} steps, tested on others (the paper: super-resolution, far"
        " longer). The difference is paired by seed.",
        "Here the sub-pixel layer's smaller error is not shown, while its tone after training is: the smaller error"
        " that the paper reports does not carry over to every task.",
        key="psnr_difference",
    )
