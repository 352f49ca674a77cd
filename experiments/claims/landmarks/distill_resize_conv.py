"""Resize-convolution after training: do the artifacts disappear?"""

from __future__ import annotations

from checkerscope.experiments.claims._autoencoder import Arm, column, plan, setting, transposed
from checkerscope.experiments.claims._compare import difference
from checkerscope.experiments.verdicts.contract import Number, Verdict, judge, over

LABEL = "Resize-convolution fixes checkerboards"
SOURCE = "Odena 2016, doi:10.23915/distill.00003"
KIND = "landmark"
THEIR_SETTING = "GANs, by eye."
OUR_SETTING = (
    "Autoencoder of two stages and 8 channels on 32 x 32 photographs, minutes of training; tone on flat images and "
    "PSNR."
)
STATEMENT = (
    "Replacing transposed convolution by nearest or bilinear resize and convolution makes the artifacts disappear."
)
ARMS = {"transposed": transposed(4), "nearest": Arm("nearest_conv"), "bilinear": Arm("bilinear_conv")}


def check(budget: str) -> Verdict:
    """Train all three and compare tone and PSNR; 4 x 4 transposed taps against 3 x 3 convolutions."""
    steps, seeds = plan(budget)
    tone = {name: column(arm, "tone.flat_rms", steps=steps, seeds=seeds) for name, arm in ARMS.items()}
    psnr = {name: column(arm, "psnr", steps=steps, seeds=seeds) for name, arm in ARMS.items()}
    numbers: dict[str, Number] = {f"flat_tone_{name}": over(values, "image units") for name, values in tone.items()}
    numbers |= {f"psnr_{name}": over(values, "dB") for name, values in psnr.items()}
    for name in ("nearest", "bilinear"):
        numbers[f"psnr_{name}_minus_transposed"] = difference(psnr[name], psnr["transposed"], "dB")
    return Verdict(
        judge(*(max(tone[name]) < 0.01 * min(tone["transposed"]) for name in ("nearest", "bilinear"))),
        numbers,
        setting(steps, seeds) + " Disappear: the largest tone on flat images is below 1 % of the smallest with"
        " transposed convolution.",
        "On flat regions the tone disappears; what the change costs or gains in reconstruction is another matter.",
        key="flat_tone_nearest",
    )
