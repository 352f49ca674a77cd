"""Are bilinear interpolation, unpooling and transposed convolution all there is?"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from experiments.verdict import Verdict, exact, judge
from toolkit import catalog

LABEL = "Three mainstream methods"
SOURCE = "founding article, section 1"
KIND = "article"
STATEMENT = (
    "Upsampling in PyTorch mainly means three methods: bilinear interpolation, unpooling and transposed convolution."
)


def check(budget: str) -> Verdict:
    """Count the catalogue, and show that modes of torch's own `interpolate` are other maps than bilinear."""
    x = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    bilinear = F.interpolate(x, scale_factor=2, mode="bilinear")
    nearest, bicubic = (F.interpolate(x, scale_factor=2, mode=mode) for mode in ("nearest", "bicubic"))
    known = catalog.names("toolkit.upsamplers")
    three = {"bilinear", "max_unpool", "transposed_conv"}
    others = len(set(known) - three)
    return Verdict(
        judge(three <= set(known), others == 0),
        {
            "upsamplers_in_the_catalogue": exact(len(known)),
            "other_than_the_three": exact(others),
            "nearest_from_bilinear": exact((nearest - bilinear).square().mean().sqrt().item()),
            "bicubic_from_bilinear": exact((bicubic - bilinear).square().mean().sqrt().item()),
        },
        "The three exist, but nearest, bicubic, resize-convolution and sub-pixel convolution are as common, and the"
        " article itself uses two of them in its section 4.3.",
        "Fixed interpolation (nearest, bilinear, bicubic), unpooling, transposed convolution, sub-pixel convolution and"
        " resize-convolution are the usual choices.",
    )
