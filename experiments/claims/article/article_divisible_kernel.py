"""What a kernel size divisible by the stride changes, before training."""

from __future__ import annotations

import torch

from checkerscope.experiments.verdicts.contract import Number, Verdict, exact, judge, over, pick, seeded
from checkerscope.toolkit.contracts.initializer import initialize
from checkerscope.toolkit.geometry import Axis
from checkerscope.toolkit.response import phase_energies, phase_gains, tone_fraction
from checkerscope.toolkit.upsamplers.transposed_conv import TransposedConv

LABEL = "Divisible kernels avoid checkerboards"
SOURCE = "founding article, section 4.3"
KIND = "article"
STATEMENT = "To avoid checkerboard artifacts use a kernel size that is divisible by the stride."


def check(budget: str) -> Verdict:
    """Measure tone and phase variance of randomly initialized layers, stride 2, divisible kernels or not."""
    numbers: dict[str, Number] = {}
    for k in (3, 4, 5, 6):
        fractions, ratios = [], []
        for seed in range(pick(budget, smoke=8, full=40)):
            with seeded(seed):
                layer = TransposedConv(16, 16, kernel_size=k)
            initialize(layer, "kaiming_normal", generator=torch.Generator().manual_seed(seed))
            fractions.append(tone_fraction(phase_gains(layer)))
            energies = phase_energies(layer).mean(0)
            ratios.append(float(energies.max() / energies.min()))
        numbers |= {f"tone_fraction_k{k}": over(fractions), f"noise_gain_ratio_k{k}": over(ratios)}
        numbers[f"overlap_k{k}"] = exact(Axis(k, 2).overlap_ratio(), "largest over smallest")
    clean = all(numbers[f"tone_fraction_k{k}"].value < 0.01 for k in (4, 6))
    even = all(numbers[f"noise_gain_ratio_k{k}"].value < 1.25 for k in (4, 6))
    return Verdict(
        judge(clean, even),
        numbers,
        "A divisible kernel gives every phase as many taps, which evens out the noise gain (4 to 1 at k = 3). The"
        " tone, the grid on a flat region, is the same three quarters of the energy for every kernel size: it comes"
        " from independent weights per phase, not from their number.",
        "Divisible kernels even out phase variance; for a clean flat region the phases need equal gains, by a fixed"
        " upsampler, a hold or an equal-gain parametrization.",
        key="tone_fraction_k4",
    )
