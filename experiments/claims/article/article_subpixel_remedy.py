"""Is sub-pixel convolution a way out of transposed convolution's checkerboard?"""

from __future__ import annotations

import torch

from checkerscope.experiments.verdicts.contract import Verdict, exact, judge, over, pick, seeded
from checkerscope.toolkit.contracts.initializer import initialize
from checkerscope.toolkit.response import phase_gains, to_transposed_conv, tone_fraction
from checkerscope.toolkit.upsamplers.pixel_shuffle import PixelShuffle

LABEL = "Sub-pixel convolution as a remedy"
SOURCE = "founding article, section 4.3"
KIND = "article"
STATEMENT = "When transposed convolution causes a checkerboard, sub-pixel convolution is an alternative."


def check(budget: str) -> Verdict:
    """Rewrite sub-pixel convolutions as transposed ones, and measure their tone at random and ICNR starts."""
    fractions: dict[str, list[float]] = {"random": [], "icnr": []}
    errors = []
    for seed in range(pick(budget, smoke=5, full=30)):
        g = torch.Generator().manual_seed(seed)
        with seeded(seed):
            layer = PixelShuffle(4, 4)
        for name, initializer in (("random", "kaiming_normal"), ("icnr", "icnr")):
            initialize(layer, initializer, generator=g)
            fractions[name].append(tone_fraction(phase_gains(layer)))
            same = to_transposed_conv(layer)
            x = torch.randn(1, 4, 6, 6, generator=g, dtype=torch.float64)
            errors.append(float((same(x) - layer.double()(x)).detach().abs().max()))
            layer.float()
        taps = same.kernel_size[0]
    random, icnr = over(fractions["random"]), over(fractions["icnr"])
    return Verdict(
        judge(max(errors) > 1e-9, random.value < 0.01),
        {
            "difference_to_a_transposed_conv": exact(max(errors), n=len(errors)),
            "kernel_of_that_transposed_conv": exact(taps, "taps"),
            "tone_fraction_random": random,
            "tone_fraction_icnr": icnr,
        },
        "A 3 x 3 sub-pixel convolution of factor 2 is a transposed convolution of up to 6 x 6 taps, to rounding: the"
        " same functions, the same tone at a random start.",
        "Sub-pixel convolution needs ICNR to start clean, and a blur or equal phase gains to stay so.",
        key="tone_fraction_random",
    )
