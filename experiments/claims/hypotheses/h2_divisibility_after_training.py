"""H2: after training, divisibility of the kernel by the stride does not decide."""

from __future__ import annotations

from checkerscope.experiments.claims._autoencoder import column, plan, setting, transposed
from checkerscope.experiments.claims._compare import ratio
from checkerscope.experiments.verdicts.contract import Number, Verdict, judge, over

LABEL = "H2: divisibility does not decide"
SOURCE = "this study, hypothesis 2"
KIND = "hypothesis"
PICTURE = {
    "title": "divisible or not",
    "x": "kernel size, stride 2",
    "y": "tone (image units)",
    "series": {"final conv": "flat_tone_k{}_final_conv", "no final conv": "flat_tone_k{}_no_final_conv"},
    "filled": 2,
}
STATEMENT = "After training, whether the kernel size is divisible by the stride does not decide how much tone is left."
DIVISIBLE, OTHERS = (2, 4, 6), (3, 5)


def check(budget: str) -> Verdict:
    """Train kernels 2 to 6 at stride 2, with and without a final convolution."""
    steps, seeds = plan(budget)
    numbers: dict[str, Number] = {}
    parts = []
    for head in (True, False):
        arms = {k: transposed(k, final_conv=head) for k in sorted((*DIVISIBLE, *OTHERS))}
        tones = {k: column(arm, "tone.flat_rms", steps=steps, seeds=seeds) for k, arm in arms.items()}
        suffix = "final_conv" if head else "no_final_conv"
        numbers |= {f"flat_tone_k{k}_{suffix}": over(values, "image units") for k, values in tones.items()}
        means = {k: numbers[f"flat_tone_k{k}_{suffix}"].value for k in tones}
        best, worst = min(OTHERS, key=lambda k: means[k]), max(DIVISIBLE, key=lambda k: means[k])
        numbers[f"best_other_over_worst_divisible_{suffix}"] = quotient = ratio(tones[best], tones[worst])
        parts.append(quotient.value < 1)
    return Verdict(
        judge(*parts),
        numbers,
        setting(steps, seeds)
        + " Divisibility would decide if every divisible kernel left less tone than every other; it"
        " does not decide if some other kernel has a smaller mean than some divisible one.",
        "In part of the settings every divisible kernel leaves less tone than every other.",
        key="best_other_over_worst_divisible_final_conv",
    )
