"""Content tone: a grid whose amplitude follows the content, so that it averages out over a data set.

Responds to: content tone, which is a replica of the content's slowest variations; not to a fixed tone, which is taken
out; hardly to other replicas, which lie further from the lattice lines than 1 / (8 periods).
Noise floor: background of the local spectra is subtracted; what is left on untouched photographs is `.target_rms`,
because on the axes (frequency 1/2 on one axis) natural images have a ridge.
Ground truth: `.target_rms`; `.residual_rms` is paired and needs none.
"""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor

from checkerscope.analysis import lattice, spectra
from checkerscope.analysis.lattice import Period, per_axis
from checkerscope.analysis.trial import Trial

LABEL = "Content tone"
SOURCE = "this study: local Fourier coefficients at the lattice lines"
UNITS = {
    "content_tone.residual_rms": "image units",
    "content_tone.reconstruction_rms": "image units",
    "content_tone.target_rms": "image units",
}
#: How the metric audit reads it.
AUDIT = {"power": False}

#: Side of the Hann-windowed tile in which an amplitude counts as local.
PERIODS = 8


def content_tone(images: Tensor, period: Period) -> float:
    """Return the RMS amplitude of the grid that changes from place to place and image to image, in image units.

    sum over lattice lines of the excess of mean |c|^2 over its neighbours, minus the same of |mean c|^2 (the fixed
    grid); c are coefficients of tiles of 8 periods (fewer, from 4, in smaller images) every 2 periods. The root of
    it, 0.0 where it is negative. A grid a (-1)^(x + y) with a sign that changes from image to image reads |a|.

    Args:
        images: (N, C, *spatial), cut to multiples of the period.
        period: In pixels, the product of the strides; one number or one per axis.

    Raises:
        ValueError: If the images are no batch, not finite, or have fewer than four periods on a side.
    """
    x = spectra.interior(images, period)
    periods = per_axis(period, x.dim() - 2)
    count = min(PERIODS, *(length // p for length, p in zip(x.shape[2:], periods, strict=True)))
    sides = tuple(count * p for p in periods)
    power, mean, seen = torch.zeros((), device=x.device), torch.zeros((), device=x.device), 0
    for chunk in spectra.in_chunks(x):  # its tiles overlap: several times as many pixels
        tiles = _tiles(chunk, sides, tuple(2 * p for p in periods))
        power = power + spectra.mean_power(tiles) * len(tiles)
        mean, seen = mean + tiles.sum(0, keepdim=True), seen + len(tiles)
    window = spectra.hann(sides, x.device)
    # from power per frequency to squared coefficients
    local = power / seen * window.square().sum() / window.sum().square()
    fixed = spectra.coefficients(mean / seen)[0].abs().square()
    return sqrt(max(0.0, float(lattice.excess(local - fixed, period).sum(-1).mean())))


def _tiles(images: Tensor, sides: tuple[int, ...], steps: tuple[int, ...]) -> Tensor:
    """Return overlapping tiles of all images, (tiles, C, *sides)."""
    dims = len(sides)
    for axis, (side, step) in enumerate(zip(sides, steps, strict=True), start=2):
        images = images.unfold(axis, side, step)
    return images.movedim(1, 1 + dims).flatten(0, dims)


def measure(trial: Trial) -> dict[str, float]:
    """Return the content tone of residual, reconstruction and target, border cropped."""
    images = {"residual": trial.residual, "reconstruction": trial.reconstruction, "target": trial.target}
    return {
        f"content_tone.{name}_rms": content_tone(spectra.interior(x, trial.period, trial.margin), trial.period)
        for name, x in images.items()
    }
