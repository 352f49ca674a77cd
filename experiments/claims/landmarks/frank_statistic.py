"""Does the plotted DCT statistic show the mean spectrum?"""

from __future__ import annotations

import torch

from checkerscope.analysis.measures.dct_spectrum import dct
from checkerscope.analysis.measures.published.frank_dct import frank_dct
from checkerscope.experiments.verdicts.contract import Number, Verdict, exact, judge, pick

LABEL = "The plotted statistic is the mean spectrum"
SOURCE = "Frank 2020, arXiv:2003.08685, released compute_statistics"
KIND = "landmark"
THEIR_SETTING = "Mean DCT spectra of sets of images per GAN, as the released code averages them."
OUR_SETTING = "White noise, whose mean spectrum is known, 100 to 6400 images."
STATEMENT = "The heat map of the DCT statistics shows the mean spectrum of a set of images, so sets can be compared."


def check(budget: str) -> Verdict:
    """Take the statistic of more and more white noise, whose mean spectrum does not depend on the count."""
    counts = (100, 400, pick(budget, smoke=1600, full=6400))
    x = torch.randn(counts[-1], 1, 16, 16, generator=torch.Generator().manual_seed(0))
    released = [float(frank_dct(x[:n]).mean()) for n in counts]
    power = [float(dct(x[:n]).square().mean().log()) for n in counts]
    numbers: dict[str, Number] = {}
    for n, one, other in zip(counts, released, power, strict=True):
        numbers[f"released_{n}_images"] = exact(one, "log", n=n)
        numbers[f"log_mean_power_{n}_images"] = exact(other, "log", n=n)
    return Verdict(
        judge(abs(released[-1] - released[0]) < 0.1),
        numbers,
        "Signed coefficients are averaged before the logarithm of their magnitude, so noise averages out as one over"
        " the square root of the count, and only what has the same sign in every image is left.",
        "Average the squared (or absolute) coefficients, then take the logarithm; compare sets of equal size"
        " otherwise.",
        key=f"released_{counts[-1]}_images",
    )
