"""The toy images of the frequency-bias testbed: are their phases uniform?"""

from __future__ import annotations

import torch

from checkerscope.experiments.claims.landmarks._toyset import waves
from checkerscope.experiments.verdicts.contract import Verdict, judge, over, pick

LABEL = "The toy set has random phases"
SOURCE = "Schwarz 2021, arXiv:2111.02447, released toyset"
KIND = "landmark"
THEIR_SETTING = "The released toy set: two Gaussian rings in the spectrum."
OUR_SETTING = "The released formula and a mended one; where the energy lies."
STATEMENT = "The toy images have a given spectrum with phases that are uniform over the whole turn."


def check(budget: str) -> Verdict:
    """Build images as released and with uniform phases, and see where their energy lies."""
    count = pick(budget, smoke=20, full=200)
    found = {name: _corner(count, released) for name, released in (("released", True), ("mended", False))}
    numbers = {f"corner_energy_{name}": over(values, "of the mean") for name, values in found.items()}
    return Verdict(
        judge(numbers["corner_energy_released"].value < 1.5),
        numbers,
        "The real part is recovered as magnitude / sqrt(1 + tan^2), which is never negative, so all phases lie within a"
        " quarter turn of zero and the waves add up at the origin. Energy within two pixels of the origin, in images of"
        " 128 before the release's central crop, over the mean: 1 for uniform phases.",
        "Draw the phase and take its cosine and sine (torch.polar): then the energy is spread evenly.",
    )


def _corner(count: int, released: bool) -> list[float]:
    energy = waves(count, 128, released_phases=released).square()
    near = torch.roll(energy, (2, 2), (2, 3))[..., :5, :5]
    return (near.mean((1, 2, 3)) / energy.mean((1, 2, 3))).tolist()
