"""Overlap maps: how many kernel taps, or how much weight, reach each output pixel.

Responds to: the geometry that lies behind tone (with weights of a positive mean) and phase variance; it looks at no
image. An even map does not promise a clean model: iid weights give a tone of 1 - 1 / s^d whatever the overlap.
Noise floor: none, counts are exact.
Ground truth: 1 where kernel size is a multiple of the stride.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import nan

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from checkerscope.analysis.trial import Trial
from checkerscope.toolkit.geometry import Axis
from checkerscope.toolkit.geometry.overlap import phase_counts, spread
from checkerscope.toolkit.response import phase_kernels

LABEL = "Kernel overlap"
SOURCE = "Odena, Dumoulin and Olah 2016, doi:10.23915/distill.00003"
UNITS = {
    "overlap_map.weight_ratio": "largest over smallest",
    "overlap_map.weights": "sum of |weights|",
}

Layer = tuple[int, int]


def overlap_map(layers: Sequence[Layer], *, spatial_dims: int = 2, backward: bool = False) -> Tensor:
    """Return the number of paths from input to each output phase, (period, ..., period), float64.

    Exact counts of the interior, where no padding reaches: a chain of transposed convolutions of ones with kernels
    of ones. `backward=True` takes the layers as strided convolutions and counts the paths from each *input* pixel,
    which is how often the gradient reaches it: a chain of transposed convolutions in the opposite order.

    Args:
        layers: (kernel_size, stride) in the order in which the layers run.
        spatial_dims: Number of spatial axes; the kernel is the same on each, so the map is an outer product.
        backward: Count for the gradient with respect to the input of strided convolutions.

    Raises:
        ValueError: If there is no layer, or a kernel size, stride or number of axes is no integer from 1.

    >>> overlap_map([(3, 2)], spatial_dims=1)
    tensor([2., 1.], dtype=torch.float64)
    >>> overlap_ratio(overlap_map([(3, 2), (3, 2)])), overlap_ratio(overlap_map([(3, 2), (4, 2)]))
    (9.0, 1.0)
    """
    counts = phase_counts([Axis(kernel_size, stride) for kernel_size, stride in layers], gradient=backward)
    return torch.from_numpy(spread(counts, spatial_dims)).double()


def overlap_ratio(counts: Tensor) -> float:
    """Return the largest over the smallest count; inf where some pixels are not reached at all."""
    return float(counts.max() / counts.min())


def weight_overlap(upsampler: nn.Module) -> Tensor:
    """Return the sum of |weights| that reach each output phase, averaged over output channels, (s, ..., s), float64.

    Raises:
        ValueError: If the upsampler is not linear or needs the encoder's context.

    >>> from checkerscope.toolkit.upsamplers.nearest import Nearest
    >>> weight_overlap(Nearest(1, 1, spatial_dims=1))
    tensor([1., 1.], dtype=torch.float64)
    """
    kernels = phase_kernels(upsampler).abs()
    dims = (kernels.dim() - 2) // 2
    return kernels.flatten(2 + dims).sum(-1).sum(1).mean(0)


def measure(trial: Trial) -> dict[str, float | NDArray[np.float64]]:
    """Return the weight overlap of the last upsampler; NaN where it is not linear or needs the encoder's context."""
    last = trial.upsamplers[-1]
    if not last.linear or last.needs_context:
        return {"overlap_map.weight_ratio": nan}
    weights = weight_overlap(last)
    return {"overlap_map.weight_ratio": overlap_ratio(weights), "overlap_map.weights": weights.numpy()}
