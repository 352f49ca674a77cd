"""H5: equal phase gains by parametrization, clean like nearest + convolution at the quality of the free layer?"""

from __future__ import annotations

from experiments.claims._autoencoder import Arm, column, plan, setting, transposed
from experiments.claims._compare import below, difference, ratio
from experiments.verdict import Verdict, judge, over

LABEL = "H5: equal gains, clean at full quality"
SOURCE = "this study, hypothesis 5"
KIND = "hypothesis"
STATEMENT = (
    "A transposed convolution parametrized to equal phase gains stays as clean as nearest + convolution, at the PSNR of"
    " the unconstrained layer."
)
EQUAL = Arm("equal_gain_transposed_conv", (("kernel_size", 4),))
FREE, NEAREST = transposed(4), Arm("nearest_conv")


def check(budget: str) -> Verdict:
    """Train all three; 4 x 4 taps, and 3 x 3 behind the nearest resize."""
    steps, seeds = plan(budget)
    tone = {arm: column(arm, "tone.flat_rms", steps=steps, seeds=seeds) for arm in (EQUAL, FREE, NEAREST)}
    photo = {arm: column(arm, "tone.residual_rms_unbiased", steps=steps, seeds=seeds) for arm in (EQUAL, FREE, NEAREST)}
    psnr = {arm: column(arm, "psnr", steps=steps, seeds=seeds) for arm in (EQUAL, FREE, NEAREST)}
    names = {EQUAL: "equal_gain", FREE: "free", NEAREST: "nearest_conv"}
    numbers = {f"flat_tone_{name}": over(tone[arm], "image units") for arm, name in names.items()}
    numbers |= {f"photo_tone_{name}": over(photo[arm], "image units") for arm, name in names.items()}
    numbers |= {f"psnr_{name}": over(psnr[arm], "dB") for arm, name in names.items()}
    numbers["flat_tone_equal_over_free"] = less = ratio(tone[EQUAL], tone[FREE])
    numbers["psnr_equal_minus_free"] = loss = difference(psnr[EQUAL], psnr[FREE], "dB")
    return Verdict(
        judge(below(less, 0.1), not below(loss, 0)),
        numbers,
        setting(steps, seeds)
        + " As clean: the interval of the tone's ratio to the free layer lies below 0.1 (nearest +"
        " convolution has none at all). At its PSNR: the interval of the difference reaches 0.",
        "Equal phase gains remove most of the tone but not all: ReLU turns the layer's unequal noise gain into a tone"
        " on everything but constants.",
    )
