"""How much does the decoder's upsampler matter?"""

from __future__ import annotations

from checkerscope.experiments.claims._autoencoder import Arm, column, plan, setting, transposed
from checkerscope.experiments.verdicts.contract import Number, Verdict, exact, judge, over

LABEL = "Decoders matter"
SOURCE = "Wojna 2017, arXiv:1707.05847"
KIND = "landmark"
THEIR_SETTING = "Segmentation, boundaries, depth and GANs with large encoders."
OUR_SETTING = (
    "Autoencoder of two stages and 8 channels on 32 x 32 photographs, minutes of training; the decoder types without "
    "residual connections; PSNR."
)
STATEMENT = "Decoders matter: results differ significantly between types of decoders."
ARMS = {
    "transposed": transposed(3),
    "separable_transposed": Arm("separable_transposed_conv"),
    "depth_to_space": Arm("pixel_shuffle"),
    "bilinear_conv": Arm("bilinear_conv"),
    "bilinear_additive": Arm("bilinear_additive"),
    "nearest_conv": Arm("nearest_conv"),
}


def check(budget: str) -> Verdict:
    """Rank the source's decoder types (without its residual connections) by PSNR on the autoencoder task."""
    steps, seeds = plan(budget)
    psnr = {name: column(arm, "psnr", steps=steps, seeds=seeds) for name, arm in ARMS.items()}
    numbers: dict[str, Number] = {f"psnr_{name}": over(values, "dB") for name, values in psnr.items()}
    ranked = sorted(ARMS, key=lambda name: -numbers[f"psnr_{name}"].value)
    best, worst = numbers[f"psnr_{ranked[0]}"], numbers[f"psnr_{ranked[-1]}"]
    numbers["best_minus_worst"] = exact(best.value - worst.value, "dB")
    numbers |= {f"rank_{name}": exact(ranked.index(name) + 1, n=len(ranked)) for name in ARMS}
    return Verdict(
        judge(best.low is not None and worst.high is not None and best.low > worst.high),
        numbers,
        setting(steps, seeds)
        + " The source: segmentation, boundaries, depth, GANs, with large encoders. It holds if the"
        f" intervals of best and worst do not meet. Best here: {ranked[0]}; worst: {ranked[-1]}.",
        "On this task the types of decoders do not differ by more than their seeds scatter.",
        key="best_minus_worst",
    )
