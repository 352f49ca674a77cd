"""Random discriminators: the grid in the gradient of their input, and whether a first layer of stride 1 helps."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from checkerscope.analysis.measures.gradient_tone import gradient_tone
from checkerscope.experiments.claims._compare import below
from checkerscope.experiments.verdicts.contract import Number, Verdict, judge, over, pick, seeded

LABEL = "Stride-2 discriminators send grids"
SOURCE = "Odena 2016, doi:10.23915/distill.00003"
KIND = "landmark"
THEIR_SETTING = "Pictures of the gradient that a discriminator sends to its input."
OUR_SETTING = "Random networks of one or two layers, 32 channels, noise images of 64 x 64."
STATEMENT = (
    "Discriminators that begin with strided convolutions have gradients with a checkerboard; using stride 1 in the"
    " first layer reduces it."
)
STRIDES = {"stride_2": (2,), "stride_2_2": (2, 2), "stride_1_then_2": (1, 2), "stride_1": (1,)}


def check(budget: str) -> Verdict:
    """Measure the share of the mean input gradient that is a grid, for random networks with leaky ReLU."""
    numbers: dict[str, Number] = {}
    for name, strides in STRIDES.items():
        found = [_grid(strides, seed) for seed in range(pick(budget, smoke=6, full=40))]
        numbers[name] = over(found)
    first, helped = numbers["stride_2"], numbers["stride_1_then_2"]
    return Verdict(
        judge(first.value > 0.1, below(helped, first.value)),
        numbers,
        "4 x 4 kernels at stride 2, whose overlap is even, and 3 x 3 at stride 1; 32 channels, noise images of 64"
        " pixels. The grid is there without any uneven overlap. A layer of stride 1 in front of one of stride 2"
        " leaves it as it is: its gradient is a convolution, which does not mix phases.",
        "Any strided convolution with random weights has a grid in its gradient, even overlap or not; a first layer of"
        " stride 1 does not remove it before training.",
        key="stride_1_then_2",
    )


def _grid(strides: tuple[int, ...], seed: int) -> float:
    period = torch.tensor(strides).prod().item()
    with seeded(seed):
        channels = [3, *[32] * len(strides)]
        layers: list[nn.Module] = []
        for (c_in, c_out), stride in zip(pairwise(channels), strides, strict=True):
            layers += [nn.Conv2d(c_in, c_out, 4 if stride == 2 else 3, stride, 1), nn.LeakyReLU(0.2)]
        images = torch.rand(8, 3, 64, 64)
    # period 1 has no grid: ask for what a stride of 2 would leave
    return gradient_tone(nn.Sequential(*layers), images, max(2, int(period)), margin=8)[0]
