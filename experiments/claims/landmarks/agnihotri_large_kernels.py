"""Do large transposed kernels leave fewer spectral artifacts, and does a wider decoder not?"""

from __future__ import annotations

from checkerscope.analysis.measures import checkerboard_energy
from checkerscope.experiments.claims._autoencoder import Arm, column, plan, setting, trained, transposed, trial
from checkerscope.experiments.claims._compare import below, ratio
from checkerscope.experiments.verdicts.contract import Number, Verdict, exact, judge, over
from checkerscope.toolkit.geometry import Axis

LABEL = "Large kernels, fewer artifacts"
SOURCE = "Agnihotri 2024, arXiv:2311.17524"
KIND = "landmark"
THEIR_SETTING = (
    "Image restoration, segmentation and disparity networks, judged by spectra and under adversarial attack."
)
OUR_SETTING = (
    "Autoencoder of two stages and 8 channels on 32 x 32 photographs, minutes of training; tone on flat images, grid "
    "in the residual."
)
STATEMENT = (
    "Large kernels in transposed convolution (7, 11, with a parallel 3) reduce spectral artifacts; more decoder"
    " capacity without them does not."
)
ARMS = {
    "k3": transposed(3),
    "k7": Arm("large_kernel_transposed_conv", (("kernel_size", 7),)),
    "k11": Arm("large_kernel_transposed_conv", (("kernel_size", 11),)),
    "k3_wide": transposed(3, width=16),
}


def check(budget: str) -> Verdict:
    """Train all and compare the tone on flat images and the grid's energy in the residual on photographs."""
    steps, seeds = plan(budget)
    tone = {name: column(arm, "tone.flat_rms", steps=steps, seeds=seeds) for name, arm in ARMS.items()}
    grid = {name: [_grid(arm, seed, steps) for seed in range(seeds)] for name, arm in ARMS.items()}
    numbers: dict[str, Number] = {}
    for name in ARMS:
        numbers[f"flat_tone_{name}"] = over(tone[name], "image units")
        numbers[f"grid_rms_{name}"] = over(grid[name], "image units")
    for k in (3, 7, 11):
        numbers[f"overlap_k{k}"] = exact(Axis(k, 2).overlap_ratio(), "largest over smallest")
    others = {name: ratio(tone[name], tone["k3"]) for name in ("k7", "k11", "k3_wide")}
    numbers |= {f"flat_tone_{name}_over_k3": value for name, value in others.items()}
    return Verdict(
        judge(below(others["k7"], 1) and below(others["k11"], 1), not below(others["k3_wide"], 1)),
        numbers,
        setting(steps, seeds) + " The source: restoration, segmentation and disparity, judged by attacks and spectra."
        " Reduce: the interval of the tone's ratio to kernel 3 lies below 1, for 7 and for 11. Capacity: twice the"
        " width with kernel 3 must not.",
        f"In this autoencoder kernel 7 leaves {others['k7'].value:.2f} and kernel 11 {others['k11'].value:.2f} times"
        f" the tone of kernel 3, and twice the width at kernel 3 {others['k3_wide'].value:.2f} times: what large"
        " kernels gain has to be compared with what parameters gain.",
        key="flat_tone_k11_over_k3",
    )


def _grid(arm: Arm, seed: int, steps: int) -> float:
    found = checkerboard_energy.measure(trial(trained(arm, seed, steps)))["checkerboard_energy.residual_power"]
    return max(found, 0.0) ** 0.5
