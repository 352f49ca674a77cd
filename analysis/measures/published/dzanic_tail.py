"""Dzanic's tail fit, as released: a power law through the magnitudes of the highest frequencies.

Responds to: a flat or rising tail, so to replicas, noise and tone as far as they lift the corner; blur makes it
steeper.
Noise floor: white noise has exponent 0; photographs of 64 pixels -1.7 with a standard deviation of 1.2.
Ground truth: the fits of the originals; the published detector is a 5-nearest-neighbour vote on them.

Defects, kept: the centre lies one pixel (in both axes) before zero frequency; radii are divided by the largest one, so
the corner is 1; bins are narrower than a pixel at usual sizes. The published threshold is 0.75 of the corner's radius,
the released script fits from 0.85 and leaves its variable of 0.75 unused: `fit_from`.

Where we differ: an empty bin (none at the published sizes from 256, several at 64) is filled by linear
interpolation, where the script would divide by zero; images are not rounded to 8 bits.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from torch import Tensor

from checkerscope.analysis.measures.published._luma import grey, square
from checkerscope.analysis.trial import Trial
from checkerscope.toolkit import checks

LABEL = "Dzanic tail fit"
SOURCE = "Dzanic et al. 2020, arXiv:1911.06465, released generatedata"
UNITS = {
    "dzanic_tail.target_exponent": "exponent of magnitude",
    "dzanic_tail.reconstruction_exponent": "exponent of magnitude",
    "dzanic_tail.target_end": "magnitude, 8-bit units",
    "dzanic_tail.reconstruction_end": "magnitude, 8-bit units",
}

Floats = NDArray[np.float64]

#: Bins between half the corner's radius and the corner, and pixels of the moving average over them.
BINS, SMOOTH = 200, 5


def dzanic_tail(images: Tensor, *, fit_from: float = 0.75) -> Tensor:
    """Return exponent, first and last value of each image's fitted tail, (N, 3), float64.

    Magnitudes |fft2| of the grey 8-bit-scaled image in 200 bins from half the corner's radius outwards, smoothed over
    five; y1 (r / r1)^c is fitted by least squares from `fit_from` of the corner's radius.

    Args:
        images: (N, 1 or 3, H, H) in [0, 1].
        fit_from: Start of the fit, from 0.5 to 1: 0.75 as published, 0.85 as released.

    Returns:
        c, y1 and the last smoothed value; the exponent is 0 where the tail is zero (constant images).

    Raises:
        ValueError: If the images are not square pictures of at least 16 pixels, not finite, or `fit_from` not in
            [0.5, 1).
    """
    x = grey(images)
    side = square(x)
    if not 0.5 <= fit_from < 1:
        raise checks.mismatch("fit_from", "a number from 0.5 to 1", fit_from)
    if side < 16:
        raise checks.mismatch("images", "sides from 16", side, "the tail has too few frequencies")
    magnitude = torch.fft.fftshift(torch.fft.fft2(x * 255), dim=(-2, -1)).abs().flatten(1)
    radius, tails = _binned(magnitude.cpu().numpy(), side)
    start = int(BINS * (fit_from - 0.5) / 0.5)
    fits = [_fit(radius[start:] / radius[-1], _smoothed(tail)[start:]) for tail in tails]
    return torch.tensor(np.array(fits), dtype=torch.float64)


def _binned(magnitude: Floats, side: int) -> tuple[Floats, Floats]:
    """Return the middle of every bin and the mean magnitude of each image in it, (bins,) and (N, bins)."""
    axis = np.arange(1, side + 1) - side // 2  # counted from one, as in the script: zero frequency is at side / 2 + 1
    radius = np.hypot(axis[:, None], axis).ravel()
    outer = radius > 0.5 * np.hypot(side // 2, side // 2)
    radius, magnitude = radius[outer], magnitude[:, outer]
    edges = np.linspace(radius.min(), radius.max(), BINS + 1)
    # a radius on an edge goes to the lower bin
    index = np.clip(np.searchsorted(edges, radius, side="left") - 1, 0, BINS - 1)
    counts = np.bincount(index, minlength=BINS)
    sums = np.stack([np.bincount(index, weights=row, minlength=BINS) for row in magnitude])
    filled, middle = counts > 0, (edges[:-1] + edges[1:]) / 2
    means = sums[:, filled] / counts[filled]
    return middle, np.stack([np.interp(middle, middle[filled], row) for row in means])


def _smoothed(values: Floats) -> Floats:
    """Return a moving average whose window shrinks at the ends: 1, 3, 5, ..., 5, 3, 1 values."""
    last = len(values) - 1
    reach = [min(SMOOTH // 2, i, last - i) for i in range(len(values))]
    return np.array([values[i - r : i + r + 1].mean() for i, r in enumerate(reach)])


def _fit(radius: Floats, values: Floats) -> tuple[float, float, float]:
    first, last = float(values[0]), float(values[-1])
    if first <= 1e-9:  # 8-bit units: rounding of a constant image
        return 0.0, first, last
    log = np.log(radius / radius[0])
    found = minimize_scalar(lambda c: float(np.sum((values - first * np.exp(c * log)) ** 2)), bounds=(-60, 60))
    return float(found.x), first, last


def measure(trial: Trial) -> dict[str, float]:
    """Return the mean exponent and end value over whole images."""
    found = {}
    for name, images in {"target": trial.target, "reconstruction": trial.reconstruction}.items():
        exponent, _, end = dzanic_tail(images).mean(0).tolist()
        found[f"dzanic_tail.{name}_exponent"] = exponent
        found[f"dzanic_tail.{name}_end"] = end
    return found
