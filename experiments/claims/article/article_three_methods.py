"""Are bilinear interpolation, unpooling and transposed convolution all there is?"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from checkerscope.experiments.verdicts.contract import Verdict, exact, judge, seeded
from checkerscope.toolkit import catalog
from checkerscope.toolkit.contracts.upsampler import Context

LABEL = "Three mainstream methods"
SOURCE = "founding article, section 1"
KIND = "article"
STATEMENT = (
    "Upsampling in PyTorch mainly means three methods: bilinear interpolation, unpooling and transposed convolution."
)

THREE = ("bilinear", "max_unpool", "transposed_conv")
#: Those that torch has as a mode or a layer, and the article's own way out of section 4.3.
OTHERS = ("nearest", "bicubic", "pixel_shuffle", "nearest_conv")


def check(budget: str) -> Verdict:
    """Enlarge by the three and by others, and measure how far from bilinear torch's own modes are."""
    x = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    bilinear = F.interpolate(x, scale_factor=2, mode="bilinear")
    nearest, bicubic = (F.interpolate(x, scale_factor=2, mode=mode) for mode in ("nearest", "bicubic"))
    with seeded(0):
        layers = {name: catalog.load("checkerscope.toolkit.upsamplers", name)(4, 4) for name in (*THREE, *OTHERS)}
    context = Context(F.max_pool2d(torch.zeros(1, 4, 16, 16), 2, return_indices=True)[1])
    with torch.no_grad():
        works = {name: layer(torch.zeros(1, 4, 8, 8), context).shape[2] == 16 for name, layer in layers.items()}
    others = sum(works[name] for name in OTHERS)
    return Verdict(
        judge(all(works[name] for name in THREE), others == 0),
        {
            "other_common_methods": exact(others),
            "nearest_from_bilinear": exact((nearest - bilinear).square().mean().sqrt().item()),
            "bicubic_from_bilinear": exact((bicubic - bilinear).square().mean().sqrt().item()),
        },
        "The three exist, but nearest, bicubic, resize-convolution and sub-pixel convolution are as common, and the"
        " article itself uses two of them in its section 4.3.",
        "Fixed interpolation (nearest, bilinear, bicubic), unpooling, transposed convolution, sub-pixel convolution and"
        " resize-convolution are the usual choices.",
    )
