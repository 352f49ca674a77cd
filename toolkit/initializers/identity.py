"""Identity: a convolution starts by passing its input on, and no output channel starts at zero."""

from __future__ import annotations

import torch
from torch import Tensor

from checkerscope.toolkit import filters
from checkerscope.toolkit.contracts.upsampler import Layout
from checkerscope.toolkit.initializers._interpolation import block_channels, channel_means, write

LABEL = "Identity"
SOURCE = "Zhao 2021, arXiv:2110.12661 (partial identity; channels repeated or averaged here, not mixed by Hadamard)"
LAYOUTS = ("conv",)


def fill(kernel: Tensor, layout: Layout, *, scale: int, generator: torch.Generator) -> None:
    """Write one into the middle tap of equal channels.

    With more outputs than inputs the inputs are repeated, with fewer an output is the mean of the inputs congruent
    to it. `dirac` leaves the surplus outputs at zero instead, where a following ReLU has no gradient.
    """
    axes = [filters.box(1) for _ in layout.strides]
    write(kernel, layout, axes, channel_means(*block_channels(kernel, layout)))
