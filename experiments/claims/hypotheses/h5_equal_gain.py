"""H5: equal phase gains by parametrization, clean like nearest + convolution at the quality of the free layer?"""

from __future__ import annotations

import functools

from checkerscope.analysis.measures import cycled_tone
from checkerscope.experiments.claims._autoencoder import Arm, column, images, plan, setting, transposed, trial
from checkerscope.experiments.claims._autoencoder import trained as network
from checkerscope.experiments.claims._compare import above, below, difference, ratio
from checkerscope.experiments.verdicts.contract import Number, Verdict, judge, over

LABEL = "H5: equal gains, clean at full quality"
SOURCE = "this study, hypothesis 5"
KIND = "hypothesis"
STATEMENT = (
    "Transposed and sub-pixel convolutions parametrized to equal phase gains, of order 0 and 1, stay as clean as"
    " nearest + convolution, at the PSNR of the unconstrained layer."
)
FREE = {"transposed": transposed(4), "sub_pixel": Arm("pixel_shuffle")}
NEAREST = Arm("nearest_conv")
#: Name of an arm to the constrained arm and its unconstrained layer.
EQUAL = {
    f"{name}_order_{order}": (Arm(upsampler, (*options, ("order", order))), FREE[name])
    for name, upsampler, options in (
        ("transposed", "equal_gain_transposed_conv", (("kernel_size", 4),)),
        ("sub_pixel", "equal_gain_pixel_shuffle", ()),
    )
    for order in (0, 1)
}
#: Tone on photographs that still counts as that of nearest + convolution, as a multiple of it.
AS_CLEAN = 1.1
#: Held-out photographs that the tone is taken of; each is shown at all 16 phases.
PHOTOGRAPHS = 16


def check(budget: str) -> Verdict:
    """Train all seven; 4 x 4 taps transposed, 3 x 3 at low resolution, and 3 x 3 behind the nearest resize."""
    steps, seeds = plan(budget)
    clean = [_photo_tone(NEAREST, seed, steps) for seed in range(seeds)]
    numbers = {
        "flat_tone_nearest_conv": over(column(NEAREST, "tone.flat_rms", steps=steps, seeds=seeds), "image units"),
        "photo_tone_nearest_conv": over(clean, "image units"),
    }
    for name, arm in FREE.items():
        photo = [_photo_tone(arm, seed, steps) for seed in range(seeds)]
        numbers[f"flat_tone_{name}"] = over(column(arm, "tone.flat_rms", steps=steps, seeds=seeds), "image units")
        numbers[f"photo_tone_{name}_over_nearest"] = ratio(photo, clean)
    good = []
    for name, (arm, free) in EQUAL.items():
        photo = [_photo_tone(arm, seed, steps) for seed in range(seeds)]
        own, other = (column(each, "psnr", steps=steps, seeds=seeds) for each in (arm, free))
        numbers[f"flat_tone_{name}"] = over(column(arm, "tone.flat_rms", steps=steps, seeds=seeds), "image units")
        numbers[f"photo_tone_{name}_over_nearest"] = more = ratio(photo, clean)
        numbers[f"psnr_{name}_minus_free"] = change = difference(own, other, "dB")
        good.append(_holds(more, change))
    return Verdict(
        judge(*good),
        numbers,
        setting(steps, seeds)
        + " Photo tone: on held-out photographs, content cancelled; flat tone: on constant images. As clean: the"
        f" interval of the photo tone's ratio to nearest + convolution does not lie above {AS_CLEAN}. At its PSNR: the"
        " interval of the difference to the unconstrained layer does not lie below 0.",
        "On flat images nothing is left but rounding. On photographs ReLU turns unequal noise gains of the phases into"
        " a tone that equal phase gains do not touch, as it does behind a nearest resize.",
    )


@functools.lru_cache(maxsize=256)
def _photo_tone(arm: Arm, seed: int, steps: int) -> float:
    return cycled_tone.measure(trial(network(arm, seed, steps), images("test")[:PHOTOGRAPHS]))["cycled_tone.rms"]


def _holds(more: Number, change: Number) -> bool:
    return not above(more, AS_CLEAN) and not below(change, 0)
