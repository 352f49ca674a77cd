"""Interpolation upsamplers: no tones, but attenuated highs, linear more than nearest."""

from __future__ import annotations

import torch

from checkerscope.experiments.verdicts.contract import Number, Verdict, exact, judge, over, pick, seeded
from checkerscope.toolkit import catalog
from checkerscope.toolkit.response import alias_gains, phase_gains, tone_fraction

LABEL = "Interpolation: filtering, no tones"
SOURCE = "Pons 2021, arXiv:2010.14356, section 3"
KIND = "landmark"
THEIR_SETTING = "Spectrograms of audio layers."
OUR_SETTING = "Layers of 8 channels in one dimension, 9 taps; exact gains."
STATEMENT = (
    "Interpolation and convolution has no tonal artifacts after initialization, but filtering artifacts: the highs are"
    " attenuated, by linear interpolation more than by nearest."
)
#: Cycles per input sample; 0.5 is the highest.
HIGH = 0.4


def check(budget: str) -> Verdict:
    """Measure tone of nearest or linear + convolution of 9 taps, and the exact gain of the interpolations."""
    numbers: dict[str, Number] = {}
    for name in ("nearest_conv", "bilinear_conv"):
        found = []
        for seed in range(pick(budget, smoke=5, full=40)):
            with seeded(seed):
                layer = catalog.load("checkerscope.toolkit.upsamplers", name)(8, 8, spatial_dims=1, kernel_size=9)
            found.append(tone_fraction(phase_gains(layer)))
        numbers[f"tone_fraction_{name}"] = over(found)
    for name in ("nearest", "bilinear"):
        fixed = catalog.load("checkerscope.toolkit.upsamplers", name)(1, 1, spatial_dims=1)
        gain = alias_gains(fixed, torch.tensor([HIGH])).abs()[0, 0, :, 0]
        numbers[f"gain_{name}_at_0_4"] = exact(float(gain[0]))
        numbers[f"replica_{name}_at_0_4"] = exact(float(gain[1]))
    nearest, linear = (numbers[f"gain_{name}_at_0_4"].value for name in ("nearest", "bilinear"))
    return Verdict(
        judge(
            max(numbers[f"tone_fraction_{name}"].value for name in ("nearest_conv", "bilinear_conv")) < 1e-9,
            linear < nearest < 1,
        ),
        numbers,
        "Scale 2, one dimension. Gains are those of the signal's own frequency, 0.4 cycles per input sample;"
        " `replica` is what the interpolation leaves at the mirrored frequency.",
    )
