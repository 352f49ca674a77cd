"""Random generators: is the pattern there before any training, and does resize-convolution remove it?"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from checkerscope.analysis.measures.tone import tone_fraction
from checkerscope.experiments.verdicts.contract import Number, Verdict, judge, over, pick, seeded
from checkerscope.toolkit import catalog

LABEL = "Random generators show checkerboards"
SOURCE = "Odena 2016, doi:10.23915/distill.00003"
KIND = "landmark"
THEIR_SETTING = "Pictures made by untrained generators whose last layers are exchanged."
OUR_SETTING = "Three random layers of factor 2, 16 channels, constant random latents; share of tone."
STATEMENT = (
    "Generators with random weights show a checkerboard already when their last layers are transposed convolutions, and"
    " none when they resize and convolve."
)
TRANSPOSED: tuple[str, dict[str, Any]] = ("transposed_conv", {"kernel_size": 3})
RESIZE: tuple[str, dict[str, Any]] = ("nearest_conv", {})
#: From the deepest layer on, as in the article's row of pictures.
CHAINS = {
    "last_two_transposed": (RESIZE, TRANSPOSED, TRANSPOSED),
    "last_transposed": (RESIZE, RESIZE, TRANSPOSED),
    "all_resize": (RESIZE, RESIZE, RESIZE),
}


def check(budget: str) -> Verdict:
    """Measure the share of tone in what random generators make of spatially constant random latents."""
    numbers: dict[str, Number] = {}
    for name, chain in CHAINS.items():
        found = [_tone(chain, seed) for seed in range(pick(budget, smoke=10, full=100))]
        numbers[name] = over(found)
    return Verdict(
        judge(
            numbers["last_two_transposed"].value > 0.1 and numbers["last_transposed"].value > 0.1,
            numbers["all_resize"].value < 1e-9,
        ),
        numbers,
        "Three layers of factor 2 with ReLU between them, He initialization, 16 channels to 3. The number is the"
        " share of the output's power that is a fixed grid of period 8; a single random transposed layer would have"
        " 3/4 for independent inputs, less for the all-positive ones that ReLU leaves.",
    )


def _tone(chain: tuple[tuple[str, dict[str, Any]], ...], seed: int) -> float:
    g = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    with seeded(seed):
        for i, (name, options) in enumerate(chain):
            out = 3 if i == len(chain) - 1 else 16
            layers += [catalog.load("checkerscope.toolkit.upsamplers", name)(16, out, bias=False, **options), nn.ReLU()]
    with torch.no_grad():
        for layer in layers[::2]:
            kernel = next(layer.kernels())  # type: ignore[operator]
            kernel.weight.normal_(0.0, (2 / kernel.layout.fan_in(kernel.weight)) ** 0.5, generator=g)
        latents = torch.randn(1, 16, 1, 1, generator=g).relu().expand(-1, -1, 12, 12)
        images = nn.Sequential(*layers[:-1])(latents)
    return tone_fraction(images[..., 32:64, 32:64], 8)
