"""H3: the benefit of ICNR decays with training."""

from __future__ import annotations

from checkerscope.experiments.claims._autoencoder import Arm, column, plan, setting
from checkerscope.experiments.claims._compare import ratio
from checkerscope.experiments.verdicts.contract import Number, Verdict, judge, over

LABEL = "H3: ICNR's benefit decays"
SOURCE = "this study, hypothesis 3"
KIND = "hypothesis"
PICTURE = {
    "title": "ICNR decays",
    "x": "step of training",
    "y": "tone (image units)",
    "series": {"random start": "tone_random_at_{}", "ICNR": "tone_icnr_at_{}"},
    "log": True,
    "line": True,
}
STATEMENT = (
    "The benefit of ICNR decays with training: it starts clean and ends with much of the tone of a random start."
)
RANDOM, ICNR = Arm("pixel_shuffle"), Arm("pixel_shuffle", initializer="icnr")


def check(budget: str) -> Verdict:
    """Train sub-pixel networks from both starts and follow the tone on flat images."""
    steps, seeds = plan(budget)
    numbers: dict[str, Number] = {}
    for at in (0, steps // 24, steps // 6, steps):
        random, icnr = (column(arm, "tone.flat_rms", steps=at, seeds=seeds) for arm in (RANDOM, ICNR))
        numbers[f"tone_random_at_{at}"] = over(random, "image units")
        numbers[f"tone_icnr_at_{at}"] = over(icnr, "image units")
        numbers[f"icnr_over_random_at_{at}"] = ratio(icnr, random)
    start, end = numbers["icnr_over_random_at_0"], numbers[f"icnr_over_random_at_{steps}"]
    return Verdict(
        judge(start.value < 0.05, end.value > 0.5),
        numbers,
        setting(steps, seeds) + " Starts clean: less than 5 % of the random start's tone. Much of it at the end: more"
        " than half (geometric mean of ratios paired by seed).",
        "ICNR starts clean, and a part of the random start's tone comes back with training; where the interval of the"
        " ratio holds 0.5, these seeds do not decide whether that is more than half or less.",
        key=f"icnr_over_random_at_{steps}",
    )
