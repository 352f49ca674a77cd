"""Spectra of more images than fit into memory: chunks come from an iterator, on whatever device, and are let go."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from analysis import spectra
from toolkit import checks


def mean_power(chunks: Iterable[Tensor]) -> Tensor:
    """Return `spectra.mean_power` of the images of all chunks together, (C, *spatial) float64, on their device.

    Args:
        chunks: Batches (N, C, *spatial) of any number of images of one size; one at a time is held.

    Raises:
        ValueError: If there are none, two have different sizes, or one is not finite.

    >>> import torch
    >>> mean_power(torch.ones(1, 3, 8, 8) for _ in range(1000)).shape
    torch.Size([3, 8, 8])
    """
    total, count = None, 0
    for chunk in chunks:
        power = spectra.mean_power(chunk).mul_(len(chunk))
        if total is not None and power.shape != total.shape:
            raise checks.mismatch(
                "chunk", f"images of shape {tuple(total.shape)}", tuple(power.shape), "cut them alike"
            )
        total = power if total is None else total.add_(power)
        count += len(chunk)
    if total is None:
        raise checks.mismatch("chunks", "one or more", 0)
    return total / count
