"""What the batched spectra are compared with: a tidy numpy loop, and the per-image loop with azimuthal averages."""

from __future__ import annotations

from typing import Any

import numpy as np


def tidy(images: np.ndarray) -> Any:
    """Return the mean ring powers of (N, 64, 64) as a careful user writes them: everything that repeats made once."""
    side = images.shape[-1]
    fy, fx = np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side), indexing="ij")
    bins = np.rint(np.hypot(fy, fx) * side).astype(int).ravel()
    sizes = np.bincount(bins)
    axis = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(side) / side)
    window = np.outer(axis, axis)
    total = np.zeros(len(sizes))
    for image in images:
        power = np.abs(np.fft.fft2((image - image.mean()) * window)) ** 2
        total += np.bincount(bins, power.ravel()) / sizes
    return total / len(images)


def azimuthal(images: np.ndarray) -> Any:
    """Return the mean log profile of (N, 64, 64) as it is usually done: shift, sort by radius, cumulate, per image."""
    profiles = []
    for image in images:
        power = 20 * np.log(np.abs(np.fft.fftshift(np.fft.fft2(image))) + 1e-8)
        y, x = np.indices(power.shape)
        radius = np.hypot(x - (power.shape[1] - 1) / 2, y - (power.shape[0] - 1) / 2)
        order = np.argsort(radius.flat)
        sorted_radius, sorted_power = radius.flat[order].astype(int), power.flat[order]
        edges = np.where(sorted_radius[1:] - sorted_radius[:-1])[0]
        cumulated = np.cumsum(sorted_power, dtype=float)
        profiles.append((cumulated[edges[1:]] - cumulated[edges[:-1]]) / (edges[1:] - edges[:-1]))
    return np.mean(profiles, axis=0)
