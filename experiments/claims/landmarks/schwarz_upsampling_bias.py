"""Do different upsamplers bias a generator's spectrum in different ways?"""

from __future__ import annotations

import torch
from torch import Tensor

from checkerscope.analysis import lattice, spectra
from checkerscope.experiments.claims.landmarks._toyset import ARMS, HIGH, IMAGES, fitted, images, plan
from checkerscope.experiments.verdicts.contract import Number, Verdict, judge, over

LABEL = "Upsampling biases the spectrum"
SOURCE = "Schwarz 2021, arXiv:2111.02447, observation 1"
KIND = "landmark"
THEIR_SETTING = "Generator of progressive growing, an eighth of its channels, ten toy images of 64 x 64, 100,000 steps."
OUR_SETTING = "Generator of 16 channels, ten mended toy images of 32 x 32, minutes of training."
STATEMENT = (
    "Different upsampling operations bias the generator towards different spectra: bilinear and nearest towards little"
    " high-frequency content, zero insertion and pixel shuffle towards checkerboard peaks."
)


def check(budget: str) -> Verdict:
    """Fit ten toy images with each upsampler and compare the power of the high ring and at the grid's lines."""
    steps, seeds = plan(budget)
    early = steps // 8
    numbers: dict[str, Number] = {}
    for arm in ARMS:
        for at in (early, steps):
            pictures = [fitted(arm, seed, at) for seed in range(seeds)]
            numbers[f"high_ring_{arm}_at_{at}"] = over([_high(x) for x in pictures], "dB to the target")
            numbers[f"peaks_{arm}_at_{at}"] = over([_peaks(x) for x in pictures], "dB to the neighbours")
    smooth = max(numbers[f"high_ring_{arm}_at_{early}"].value for arm in ("bilinear", "nearest"))
    rough = min(numbers[f"high_ring_{arm}_at_{early}"].value for arm in ("zeros", "shuffle"))
    flat = max(numbers[f"peaks_{arm}_at_{early}"].value for arm in ("bilinear", "nearest"))
    peaked = min(numbers[f"peaks_{arm}_at_{early}"].value for arm in ("zeros", "shuffle"))
    return Verdict(
        judge(smooth < rough, flat < peaked),
        numbers,
        f"Generator of 16 channels from 4 x 4 to 32 x 32, ten images, {steps} steps, {seeds} seeds; the paper: 64 x"
        f" 64, 100,000 steps. Judged after {early} steps, where the bias shows: the mean power of the high ring with"
        " bilinear and nearest is below that of both others, and their lines of period 8 stand less above their"
        " neighbours.",
        "The bias towards weak high frequencies and that towards peaks do not both split the four upsamplers like"
        " this.",
        key=f"peaks_shuffle_at_{early}",
    )


def _high(x: Tensor) -> float:
    """Return the power in the high ring against the target's, in dB."""
    radius = spectra.frequencies((32, 32))
    low, high = (edge * 0.5 * 2**0.5 for edge in HIGH)
    band = (radius > low - 1 / 32) & (radius < high + 1 / 32)
    got, want = (spectra.mean_power(y)[0][band].sum() for y in (x, images(IMAGES)))
    return float(10 * torch.log10(got / want))


def _peaks(x: Tensor) -> float:
    """Return the mean power of the lines of period 8 over that of their neighbours, in dB."""
    power = spectra.mean_power(x)
    lines = lattice.lines((32, 32), 8)
    index = tuple(torch.tensor(axis) for axis in zip(*lines, strict=True))
    excess = lattice.excess(power, 8)[0]
    on = power[0][index]
    return float(10 * torch.log10(on.sum() / (on - excess).sum()))
