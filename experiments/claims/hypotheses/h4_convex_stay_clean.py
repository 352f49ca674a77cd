"""H4: convex upsamplers stay clean in training."""

from __future__ import annotations

from checkerscope.experiments.claims._autoencoder import Arm, column, plan, setting, transposed
from checkerscope.experiments.verdicts.contract import Number, Verdict, judge, over
from checkerscope.toolkit import catalog

LABEL = "H4: convex upsamplers stay clean"
SOURCE = "this study, hypothesis 4"
KIND = "hypothesis"
STATEMENT = (
    "Upsamplers whose outputs are weighted means of inputs (nearest, bilinear, CARAFE, DySample) leave no tone on flat"
    " regions at any time in training."
)
CONVEX = ("nearest", "bilinear", "carafe", "dysample")
#: As many channels as the networks have.
OPTIONS = {"carafe": (("compressed_channels", 8),)}
#: A hundredth of an 8-bit step.
CLEAN = 4e-5


def check(budget: str) -> Verdict:
    """Train networks with each, and with a transposed convolution for comparison."""
    steps, seeds = plan(budget)
    flags = {name: catalog.describe_one("checkerscope.toolkit.upsamplers", name).flags.get("convex") for name in CONVEX}
    numbers: dict[str, Number] = {}
    worst = []
    for name in CONVEX:
        for at in (0, steps):
            found = column(Arm(name, OPTIONS.get(name, ())), "tone.flat_rms", steps=at, seeds=seeds)
            numbers[f"flat_tone_{name}_at_{at}"] = over(found, "image units")
            worst.append(max(found))
    free = column(transposed(4), "tone.flat_rms", steps=steps, seeds=seeds)
    numbers[f"flat_tone_transposed_k4_at_{steps}"] = over(free, "image units")
    return Verdict(
        judge(all(flags.values()), *(tone < CLEAN for tone in worst)),
        numbers,
        setting(steps, seeds)
        + f" Clean: below {CLEAN:.0e}, a hundredth of an 8-bit step, for every seed, at the start and"
        " after training. A constant stays constant through a weighted mean, a convolution and a ReLU.",
        "Not all upsamplers that are declared convex stay clean; see the numbers.",
        key=f"flat_tone_carafe_at_{steps}",
    )
