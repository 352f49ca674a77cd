"""Does the radial profile tell real images from upsampled ones with twenty labels?"""

from __future__ import annotations

import torch
from torch import Tensor

from checkerscope.analysis import distortions, spectra
from checkerscope.analysis.measures.published.durall_radial_profile import durall_radial_profile
from checkerscope.experiments.claims._autoencoder import images, plan, reconstructed, setting, transposed
from checkerscope.experiments.claims.landmarks._detector import accuracy
from checkerscope.experiments.verdicts.contract import Number, Verdict, judge, over, pick

LABEL = "Twenty labels are enough"
SOURCE = "Durall 2020, arXiv:2003.01826"
KIND = "landmark"
THEIR_SETTING = "Real and generated faces, classified by their ring profile with few labels."
OUR_SETTING = (
    "Autoencoder of two stages and 8 channels on 32 x 32 photographs, minutes of training; reconstructions, and "
    "photographs with a faint grid, ten labels of each kind."
)
STATEMENT = (
    "Images that come out of up-convolution are told from real ones by their radial profile, with a handful of labels."
)


def check(budget: str) -> Verdict:
    """Classify reconstructions and, apart, photographs with a faint grid; ten labels of each kind."""
    steps, seeds = plan(budget)
    real = images("test")
    made = [reconstructed(transposed(4), seed, steps, real) for seed in range(seeds)]
    gridded = (
        distortions.grid(real, -30, torch.Generator()) + distortions.checkerboard(real, -30, torch.Generator()) - real
    )
    numbers: dict[str, Number] = {}
    for name, features in (("released", durall_radial_profile), ("all_bins", _all_bins)):
        for kind, fakes in (("reconstructions", made), ("gridded_photographs", [gridded])):
            numbers[f"{kind}_{name}"] = _mean(features(real), [features(x) for x in fakes], budget)
    return Verdict(
        judge(
            numbers["reconstructions_released"].value > 0.95,
            numbers["gridded_photographs_released"].value > 0.95,
        ),
        numbers,
        setting(steps, seeds)
        + " Accuracy on images that were not labelled, over draws of the labelled ones. Told: above 95"
        " %. Reconstructions differ from photographs mostly by blur, which any profile shows; the second kind are"
        " photographs with a grid of period 4 and a checkerboard 30 dB below their contrast.",
        "Twenty labels tell reconstructions by their blur, but not a faint grid on real photographs: the profile"
        " averages lattice lines away or drops them.",
        key="gridded_photographs_released",
    )


def _all_bins(x: Tensor) -> Tensor:
    return spectra.radial_power(x).mean(1).clamp_min(1e-12).log()


def _mean(real: Tensor, made: list[Tensor], budget: str) -> Number:
    found = []
    for draw in range(pick(budget, smoke=10, full=50)):
        order = torch.randperm(len(real), generator=torch.Generator().manual_seed(draw))
        few, rest = order[:10], order[10:]
        fakes = made[draw % len(made)]
        # the labelled fakes are made from other photographs than the labelled reals
        half = len(rest) // 2
        found.append(accuracy((real[few], fakes[rest[:10]]), (real[rest[half:]], fakes[rest[half:]])))
    return over(found, "share")
