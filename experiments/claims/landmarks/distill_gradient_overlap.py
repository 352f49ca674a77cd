"""Gradients: strided convolutions and pooling send more of it to some pixels than to others."""

from __future__ import annotations

from math import isinf

import torch
from torch import nn

from checkerscope.experiments.verdicts.contract import Number, Verdict, exact, judge
from checkerscope.toolkit.geometry import Axis
from checkerscope.toolkit.geometry.overlap import gradient_map, phase_counts, ratio, spread

LABEL = "Checkerboards in gradients"
SOURCE = "Odena 2016, doi:10.23915/distill.00003"
KIND = "landmark"
THEIR_SETTING = "Drawings and pictures of gradients of image classifiers."
OUR_SETTING = "Path counts of single layers, and the gradient of max-pooling on one random image."
STATEMENT = (
    "The gradient of a convolution is a transposed convolution, so strided convolutions put a checkerboard into"
    " gradients; max-pooling has related, high-frequency artifacts."
)


def check(budget: str) -> Verdict:
    """Count the paths of the gradient to each input pixel, and look at the gradient of max-pooling."""
    numbers: dict[str, Number] = {}
    for k, s in ((2, 2), (3, 2), (4, 2), (5, 2), (7, 2)):
        numbers[f"conv_k{k}s{s}"] = exact(ratio(_square(k, s)), "largest over smallest")
    single = _square(1, 2)
    numbers["conv_k1s2_pixels_without_gradient"] = exact(float((single == 0).mean()), "share")
    x = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    pooled, overlapping = gradient_map(nn.MaxPool2d(2), x), gradient_map(nn.MaxPool2d(3, 2), x)
    numbers["max_pool2_pixels_without_gradient"] = exact(float((pooled == 0).double().mean()), "share")
    numbers["max_pool3s2_largest_count"] = exact(float(overlapping.max()), "paths")
    return Verdict(
        judge(
            numbers["conv_k3s2"].value == 4 and isinf(ratio(single)),
            numbers["max_pool2_pixels_without_gradient"].value == 0.75,
        ),
        numbers,
        "The counts are those of the forward overlap with input and output exchanged: 4 to 1 at kernel 3 and stride"
        " 2, even where the stride divides the kernel. Max-pooling by 2 gives three quarters of the pixels nothing at"
        " all.",
        key="conv_k3s2",
    )


def _square(k: int, s: int):  # type: ignore[no-untyped-def]
    return spread(phase_counts([Axis(k, s)], gradient=True))
