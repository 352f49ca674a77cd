"""When does the U-Net block work?"""

from __future__ import annotations

import torch

from checkerscope.experiments.claims.article._listings import run
from checkerscope.experiments.verdicts.contract import Verdict, exact, judge, seeded

LABEL = "U-Net block"
SOURCE = "founding article, section 4.1"
KIND = "article"
STATEMENT = "The UNetUpBlock enlarges a map and joins it with the encoder's skip."

#: Name: side of the input, channels of the skip, side of the skip; the block goes from 8 to 4 channels.
CASES = {
    "equal_channels_even": (8, 4, 16),
    "more_skip_channels": (8, 8, 16),
    "fewer_skip_channels": (8, 2, 16),
    "odd_skip": (8, 4, 17),
}


def check(budget: str) -> Verdict:
    """Run it with skips of other channels and of an odd size."""
    works = {name: _works(*case) for name, case in CASES.items()}
    return Verdict(
        judge(*works.values()),
        {f"works_{name}": exact(float(ok)) for name, ok in works.items()},
        "It works only where the skip has exactly out_channels channels and twice the size: unequal channels and odd"
        " sizes (17 against 16, as after pooling 17 to 8) raise RuntimeError.",
        "Take the skip's channels as an argument of the block, and crop or pad the enlarged map to the skip's size, or"
        " pass output_size=skip.shape[2:] to the transposed convolution.",
        key="works_odd_skip",
    )


def _works(side: int, skip_channels: int, skip_side: int) -> bool:
    names = run("4.1")
    with seeded(0):
        block = names["UNetUpBlock"](8, 4)
        x, skip = torch.randn(2, 8, side, side), torch.randn(2, skip_channels, skip_side, skip_side)
    try:
        return block(x, skip).shape == (2, 4, skip_side, skip_side)
    except RuntimeError:
        return False
