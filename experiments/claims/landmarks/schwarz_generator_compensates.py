"""Can a generator compensate for the checkerboard of its upsampler?"""

from __future__ import annotations

from torch import Tensor

from checkerscope.analysis.measures.checkerboard_energy import checkerboard_energy
from checkerscope.experiments.claims._compare import above, difference
from checkerscope.experiments.claims.landmarks._toyset import IMAGES, fitted, images, plan
from checkerscope.experiments.verdicts.contract import Number, Verdict, exact, judge, over

LABEL = "The generator compensates"
SOURCE = "Schwarz 2021, arXiv:2111.02447, observation 2"
KIND = "landmark"
THEIR_SETTING = "Generator of progressive growing, an eighth of its channels, ten toy images of 64 x 64, 100,000 steps."
OUR_SETTING = "Generator of 16 channels, ten mended toy images of 32 x 32, minutes of training."
STATEMENT = (
    "Checkerboard artifacts of the upsampling cannot explain spectral errors alone: the generator learns to"
    " compensate for them."
)


def check(budget: str) -> Verdict:
    """Follow the share of a fixed grid in the output of generators with zero insertion and pixel shuffle."""
    steps, seeds = plan(budget)
    numbers: dict[str, Number] = {"grid_share_of_the_target": exact(_share(images(IMAGES)), "of variance")}
    parts = []
    for arm in ("zeros", "shuffle"):
        start, end = ([_share(fitted(arm, seed, at)) for seed in range(seeds)] for at in (0, steps))
        numbers[f"grid_share_{arm}_at_0"] = over(start, "of variance")
        numbers[f"grid_share_{arm}_at_{steps}"] = over(end, "of variance")
        parts.append(above(difference(start, end, "of variance"), 0) and max(end) < 0.01)
    return Verdict(
        judge(*parts),
        numbers,
        f"Ten toy images, {steps} steps, {seeds} seeds. The share of the output's variance that is a fixed grid of"
        " period 8, above its spectral neighbours. It compensates if the share falls in every seed's pair (interval"
        " of the difference) and ends below 1 %.",
        "Training does not reliably bring the grid of these generators below 1 % of their variance.",
        key=f"grid_share_shuffle_at_{steps}",
    )


def _share(x: Tensor) -> float:
    return checkerboard_energy(x, 8)
