"""H7: the tone outside the training range, normalised by level."""

from __future__ import annotations

from checkerscope.analysis.measures import level_sweep
from checkerscope.experiments.claims._autoencoder import Arm, plan, setting, trained, transposed, trial
from checkerscope.experiments.claims._compare import above
from checkerscope.experiments.verdicts.contract import Number, Verdict, judge, over

LABEL = "H7: beyond the training range, per level"
SOURCE = "this study, hypothesis 7, after Pons 2021, arXiv:2010.14356"
KIND = "hypothesis"
STATEMENT = "Tones return outside the training range more strongly than the distance from the middle level explains."
ARMS = {"transposed_k3": transposed(3), "transposed_k4": transposed(4), "sub_pixel": Arm("pixel_shuffle")}


def check(budget: str) -> Verdict:
    """Compare the tone per distance from 0.5 on levels from -1 to 2 with that inside [0, 1]."""
    steps, seeds = plan(budget)
    numbers: dict[str, Number] = {}
    for name, arm in ARMS.items():
        found = [level_sweep.measure(trial(trained(arm, seed, steps))) for seed in range(seeds)]
        for key, unit in (
            ("ratio", "beyond over inside"),
            ("inside_rms", "image units"),
            ("beyond_rms", "image units"),
        ):
            numbers[f"{key}_{name}"] = over([float(sweep[f"level_sweep.{key}"]) for sweep in found], unit)
    ratios = [numbers[f"ratio_{name}"] for name in ARMS]
    return Verdict(
        judge(*(above(n, 1) for n in ratios)),
        numbers,
        setting(steps, seeds) + " `ratio` is the tone per distance from 0.5, beyond [0, 1] over inside: 1 is a tone in"
        " proportion to the level, as a linear network would have. It holds for an arm if the interval lies above 1.",
        "No arm shows a tone beyond the training range that grows faster than the level's distance. Where the interval"
        " lies below 1, what looks like a failure out of distribution is mostly scale; elsewhere it is undecided.",
    )
