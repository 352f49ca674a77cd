"""Resize-convolution and its border: does padding before the convolution help?"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from checkerscope.experiments.verdicts.contract import Number, Verdict, judge, over, pick

LABEL = "Pad before the convolution"
SOURCE = "Odena 2016, doi:10.23915/distill.00003"
KIND = "landmark"
THEIR_SETTING = "Style transfer and GANs; stated, not shown."
OUR_SETTING = "Nearest enlargement of constant maps and one 3 x 3 convolution of 8 channels with random weights."
STATEMENT = (
    "For best results pad the resized map before the convolution, instead of with zeros, to avoid boundary artifacts."
)


def check(budget: str) -> Verdict:
    """Enlarge constant maps by nearest, convolve with random kernels, and compare the border with the inside."""
    numbers: dict[str, Number] = {}
    for mode in ("constant", "reflect", "replicate"):
        found = [_border(mode, seed) for seed in range(pick(budget, smoke=8, full=50))]
        numbers["zeros" if mode == "constant" else mode] = over(found, "relative")
    return Verdict(
        judge(numbers["zeros"].value > 0.1, max(numbers["reflect"].value, numbers["replicate"].value) < 1e-6),
        numbers,
        "RMS deviation of the outermost pixels from the inside, over the inside's RMS. Zero padding takes part of the"
        " kernel away at the border; reflection and replication continue a constant.",
    )


def _border(mode: str, seed: int) -> float:
    g = torch.Generator().manual_seed(seed)
    kernel = torch.randn(8, 8, 3, 3, generator=g, dtype=torch.float64)
    x = F.interpolate(torch.ones(1, 8, 6, 6, dtype=torch.float64), scale_factor=2)
    y: Tensor = F.conv2d(F.pad(x, (1, 1, 1, 1), mode=mode), kernel)
    inside = y[..., 4:8, 4:8].mean((2, 3), keepdim=True)
    edge = torch.cat([(y - inside)[..., 0, :], (y - inside)[..., :, 0]], -1)
    return float(edge.square().mean().sqrt() / inside.square().mean().sqrt())
