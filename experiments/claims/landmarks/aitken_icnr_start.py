"""ICNR before training: is it free of checkerboards, and does the order of the copies matter?"""

from __future__ import annotations

import torch

from checkerscope.experiments.verdicts.contract import Verdict, judge, over, pick, seeded
from checkerscope.toolkit.contracts.initializer import initialize
from checkerscope.toolkit.response import phase_gains, tone_fraction
from checkerscope.toolkit.upsamplers.pixel_shuffle import PixelShuffle

LABEL = "ICNR starts clean"
SOURCE = "Aitken 2017, arXiv:1707.02937"
KIND = "landmark"
THEIR_SETTING = "First outputs of super-resolution networks."
OUR_SETTING = "Single layers, 8 to 8 channels, scale 2; exact phase gains over random draws."
STATEMENT = (
    "Initialized with ICNR, sub-pixel convolution is free of checkerboard artifacts immediately after initialization."
)


def check(budget: str) -> Verdict:
    """Measure the tone of random, ICNR and wrongly repeated starts, scale 2."""
    found: dict[str, list[float]] = {"random": [], "icnr": [], "icnr_with_repeat": [], "icnr_with_random_bias": []}
    for seed in range(pick(budget, smoke=8, full=60)):
        g = torch.Generator().manual_seed(seed)
        with seeded(seed):
            layer = PixelShuffle(8, 8)
        initialize(layer, "kaiming_normal", generator=g)
        found["random"].append(tone_fraction(phase_gains(layer)))
        initialize(layer, "icnr", generator=g)
        found["icnr"].append(tone_fraction(phase_gains(layer)))
        with torch.no_grad():
            # the phases of an output channel are neighbours: repeat() mixes channels instead of copying over phases
            layer.conv.weight.copy_(layer.conv.weight[::4].repeat(4, 1, 1, 1))
            found["icnr_with_repeat"].append(tone_fraction(phase_gains(layer)))
            initialize(layer, "icnr", generator=g)
            bias = torch.empty(32).uniform_(-0.1, 0.1, generator=g)
        phases = bias.reshape(8, 4)
        found["icnr_with_random_bias"].append(float(phases.std(1, correction=0).mean()))
    numbers = {f"tone_fraction_{name}": over(values) for name, values in found.items() if "bias" not in name}
    numbers["tone_of_a_bias_drawn_per_phase"] = over(found["icnr_with_random_bias"], "output units")
    return Verdict(
        judge(numbers["tone_fraction_icnr"].value < 1e-9),
        numbers,
        "With ICNR all phases of an output channel have one kernel. Two ways to get it wrong: Tensor.repeat in place of"
        " repeat_interleave, and a bias drawn per phase, as torch's default does (here U(-0.1, 0.1)).",
        key="tone_fraction_icnr",
    )
