"""Random configurations of a transposed convolution, drawn so that torch accepts every one of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

Pair = tuple[int, int]


@dataclass(frozen=True)
class Configuration:
    """One transposed convolution with two spatial axes."""

    channels_in: int
    channels_out: int
    groups: int
    kernel: Pair
    stride: Pair
    padding: Pair
    output_padding: Pair
    dilation: Pair


def configurations(count: int, *, seed: int) -> Iterator[Configuration]:
    """Yield configurations for inputs from 5 x 5: an output remains, and output_padding < max(stride, dilation)."""
    rng = np.random.default_rng(seed)

    def pair(low: int, high: Pair) -> Pair:
        return int(rng.integers(low, high[0] + 1)), int(rng.integers(low, high[1] + 1))

    for _ in range(count):
        groups = int(rng.integers(1, 4))
        kernel, stride, dilation = pair(1, (5, 5)), pair(1, (4, 4)), pair(1, (3, 3))
        most = (max(stride[0], dilation[0]) - 1, max(stride[1], dilation[1]) - 1)
        c_in, c_out = (groups * int(rng.integers(1, 4)) for _ in range(2))
        # at most 2: (5 - 1) s - 2 p + 1 >= 1 whatever the kernel
        yield Configuration(c_in, c_out, groups, kernel, stride, pair(0, (2, 2)), pair(0, most), dilation)
