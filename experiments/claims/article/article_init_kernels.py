"""Which kernels does the article's initialization reach, and what is left of its Kaiming call?"""

from __future__ import annotations

import torch
from torch import nn

from checkerscope.experiments.claims.article._listings import attempt
from checkerscope.experiments.verdicts.contract import Verdict, exact, judge, seeded

LABEL = "The initialization covers a network's kernels"
SOURCE = "founding article, section 4.2"
KIND = "article"
STATEMENT = "The listing gives transposed convolutions a Kaiming start and then a bilinear one."

KERNELS: dict[str, int | tuple[int, int]] = {"2x2": 2, "2x3": (2, 3), "3x3": 3, "4x4": 4, "5x5": 5}


def check(budget: str) -> Verdict:
    """Count the weights that keep a random value, per kernel."""
    fill = attempt("4.2")[0]["init_weights"]
    random = {}
    for name, kernel in KERNELS.items():
        with seeded(0), torch.no_grad():
            layer = nn.ConvTranspose2d(8, 8, kernel, 2)
            fill(layer)
        random[name] = (layer.weight != 0.25).double().mean().item()
    return Verdict(
        judge(random["2x2"] > 0, all(share == 0 for share in random.values())),
        {f"random_share_{name}": exact(value, "share") for name, value in random.items()},
        "Only shape[2] == 2 is looked at. For 2 x 2 the Kaiming call is overwritten whole; for 2 x 3 one column stays"
        " random among constants; 4 x 4, the size that the article advises, gets no bilinear start at all; the stride"
        " is never asked for.",
        "Decide on one start per kernel: random with the right fan, or interpolation where the kernel has at least"
        " 2 s - s % 2 taps per axis.",
    )
