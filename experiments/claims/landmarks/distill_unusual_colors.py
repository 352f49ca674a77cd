"""Are artifacts strongest far from the average colour?"""

from __future__ import annotations

import numpy as np

from checkerscope.analysis.measures.tone import tone
from checkerscope.experiments.claims._autoencoder import Arm, images, plan, setting, trained, transposed, trial
from checkerscope.experiments.claims._compare import above
from checkerscope.experiments.verdicts.contract import Number, Verdict, exact, judge, over

LABEL = "Unusual colours show it most"
SOURCE = "Odena 2016, doi:10.23915/distill.00003"
KIND = "landmark"
THEIR_SETTING = "Images of GANs, by eye."
OUR_SETTING = (
    "Autoencoder of two stages and 8 channels on 32 x 32 photographs, minutes of training; tone on flat images of 21 "
    "grey levels."
)
STATEMENT = (
    "Artifacts are most prominent far from the average colour, because the bias alone can give the average and the"
    " transposed convolution has to contribute the rest."
)
ARMS = {"transposed_k4": transposed(4), "sub_pixel": Arm("pixel_shuffle")}
LEVELS = tuple(round(0.05 * i, 2) for i in range(21))


def check(budget: str) -> Verdict:
    """Correlate the tone on flat images of 21 grey levels with their distance from the mean of the training images."""
    steps, seeds = plan(budget)
    mean = float(images("train").mean())
    distance = np.abs(np.array(LEVELS) - mean)
    numbers: dict[str, Number] = {"mean_level": exact(mean, "image units")}
    for name, arm in ARMS.items():
        found, quietest = [], []
        for seed in range(seeds):
            flat = trial(trained(arm, seed, steps)).flat_interior(LEVELS)
            tones = np.array([tone(image[None], 4) for image in flat])
            found.append(float(np.corrcoef(tones, distance)[0, 1]))
            quietest.append(LEVELS[int(tones.argmin())])
        numbers |= {f"correlation_{name}": over(found), f"quietest_level_{name}": over(quietest, "image units")}
    correlations = [numbers[f"correlation_{name}"] for name in ARMS]
    return Verdict(
        judge(*(above(n, 0) for n in correlations)),
        numbers,
        setting(steps, seeds) + " It holds for a layer if the interval of the correlation over seeds lies above 0. Grey"
        " levels only: the average colour of the photographs is close to grey.",
        "The tone changes with the level, but the average level is not where it is smallest for every layer.",
    )
