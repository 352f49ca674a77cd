"""The table's third column: can a transposed convolution recover more information than the others?"""

from __future__ import annotations

from collections.abc import Callable
from math import log2

import torch
from torch import Tensor
from torch.nn import functional as F

from checkerscope.experiments.verdicts.contract import Verdict, exact, judge, over, pick

LABEL = "Information recovered by the three methods"
SOURCE = "founding article, section 1.3"
KIND = "article"
STATEMENT = (
    "The ability to recover information is low for bilinear interpolation, medium for unpooling, high for transposed"
    " convolution."
)
PIXELS = 64


def check(budget: str) -> Verdict:
    """Compare ranks, and the best linear reconstruction of white noise after a strided convolution."""
    found: dict[str, list[float]] = {}
    for seed in range(pick(budget, smoke=5, full=30)):
        for name, value in _one(torch.Generator().manual_seed(seed)).items():
            found.setdefault(name, []).append(value)
    recovers = max(found["power_lost_best_linear_map"]) < 1e-9
    fits = max(found["power_lost_transposed_fitted"]) < min(found["power_lost_bilinear"])
    return Verdict(
        judge(recovers, fits),
        {name: over(values) for name, values in found.items()}
        | {"bits_in_each_unpooling_index": exact(log2(4), "bits")},
        "8 x 8 white noise, a random 3 x 3 convolution of stride 2, any linear map, then an upsampler. All outputs"
        " lie in a space of 16 of 64 dimensions, and three quarters of the power are lost whatever comes after. A"
        " transposed convolution whose taps were fitted reaches that bound, one with random taps and a bilinear one"
        " do not. Only unpooling adds information, which its indices bring from the encoder.",
        "No upsampler recovers what the downsampling discarded. A transposed convolution has the freedom to fit what is"
        " left; unpooling is told something more, the positions.",
        key="power_lost_transposed_fitted",
    )


def _one(g: torch.Generator) -> dict[str, float]:
    w, random = (torch.randn(1, 1, k, k, generator=g, dtype=torch.float64) for k in (3, 4))
    down = _matrix(lambda x: F.conv2d(x, w, None, 2, 1), 8)
    up = {
        "bilinear": _matrix(lambda y: F.interpolate(y, scale_factor=2, mode="bilinear"), 4),
        "transposed_random": _matrix(lambda y: F.conv_transpose2d(y, random, None, 2, 1), 4),
        # the taps that undo this convolution best are its own: the span of its rows
        "transposed_fitted": _matrix(lambda y: F.conv_transpose2d(y, w, None, 2, 1, 1), 4),
    }
    ranks = {f"rank_{name}": float(torch.linalg.matrix_rank(matrix)) for name, matrix in up.items()}
    up["best_linear_map"] = torch.eye(PIXELS, dtype=torch.float64)
    return ranks | {f"power_lost_{name}": _lost(down, matrix) for name, matrix in up.items()}


def _matrix(layer: Callable[[Tensor], Tensor], side: int) -> Tensor:
    basis = torch.eye(side * side, dtype=torch.float64).reshape(-1, 1, side, side)
    return layer(basis).flatten(1).T


def _lost(down: Tensor, up: Tensor) -> float:
    """Return the power share of white noise x that up @ m @ down @ x misses for the best m."""
    best = up @ torch.linalg.pinv(up) @ torch.linalg.pinv(down) @ down
    return float((torch.eye(PIXELS, dtype=best.dtype) - best).square().sum() / PIXELS)
