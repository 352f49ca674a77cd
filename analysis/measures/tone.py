"""Tone: unequal phase means, the grid that a flat region shows.

Responds to: tone; not to phase variance or replicas, which have zero mean per phase; to content only as far as
it does not average out over cells and images; to the border only where the margin is too small.
Noise floor: on constant images none (rounding, about 1e-8). On photographs content leaves sd / sqrt(cells N) per
phase in `tone.residual_rms`. `tone.residual_rms_unbiased` is free of it where images are independent; patches of one
photograph that overlap are not, and 32 of them leave up to 7e-4 in clean models (`paper/data/quick`). Pairs of
different photographs alone are no way out, since a model's tone changes with their level: see `cycled_tone`.
Ground truth: constant images have exactly 0; the residual is paired, so that the target's own grid cancels.
"""

from __future__ import annotations

from math import nan, sqrt

import torch
from torch import Tensor

from checkerscope.analysis import spectra
from checkerscope.analysis.lattice import Period
from checkerscope.analysis.phases import alternating, alternating_share, phase_means, root_mean_square
from checkerscope.analysis.trial import Trial

LABEL = "Tone"
SOURCE = "Sugawara, Shiota and Kiya 2018 (equal polyphase gains); phase means as in Odena et al. 2016's flat test"
UNITS = {
    "tone.flat_rms": "image units",
    "tone.flat_fraction": "fraction of power",
    "tone.residual_rms": "image units",
    "tone.residual_rms_unbiased": "image units",
}
#: How the metric audit reads it.
AUDIT = {"power": False}

#: Grey levels of the flat images, inside the training range.
LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)


def tone(images: Tensor, period: Period) -> float:
    """Return the RMS of the AC part of the phase means, in image units.

    Phase means are averaged over images first (a fixed grid adds up, content does not), squared deviations over
    phases and channels. A checkerboard a (-1)^(x + y) reads |a|. The border is the caller's to crop
    (`spectra.interior`).

    Args:
        images: (N, C, *spatial), cut to multiples of the period.
        period: In pixels, the product of the strides; one number or one per axis.

    Raises:
        ValueError: If the images are no batch, not finite, or smaller than the period.

    >>> board = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(8, 8)
    >>> round(tone(0.5 + 0.1 * board[None, None], 2), 7)
    0.1
    """
    return root_mean_square(alternating(phase_means(images, period).mean(0, keepdim=True).flatten(2)))


def tone_fraction(images: Tensor, period: Period) -> float:
    """Return the AC share of the phase means' power, 0 to 1; 0.0 for images that are zero everywhere.

    sum_{q != 0} |DFT m|^2 / sum_q |DFT m|^2, sums over channels too, m averaged over images. For the output of an iid
    zero-mean transposed or sub-pixel convolution on constant input its expectation is 1 - 1 / s^d, whatever the
    kernel size.

    Args:
        images: (N, C, *spatial), cut to multiples of the period.
        period: In pixels, the product of the strides; one number or one per axis.

    Raises:
        ValueError: If the images are no batch, not finite, or smaller than the period.

    >>> tone_fraction(torch.tensor([[1.0, 0.0], [0.0, 0.0]]).repeat(8, 8)[None, None], 2)
    0.75
    """
    return alternating_share(phase_means(images, period).mean(0, keepdim=True).flatten(2))


def flat_tone(images: Tensor, period: Period) -> float:
    """Return the RMS over images of the `tone` of each by itself: of constant images of several levels.

    Raises:
        ValueError: As `tone`.

    >>> board = torch.tensor([1.0, -1.0]).repeat(4).reshape(1, 1, 8)
    >>> round(flat_tone(torch.cat([0.1 * board, -0.1 * board]), 2), 7)  # together they would cancel
    0.1
    """
    return root_mean_square(tones(images, period))


def tones(images: Tensor, period: Period) -> Tensor:
    """Return the `tone` of each image by itself, (N,), float64."""
    return torch.tensor([tone(image[None], period) for image in images], dtype=torch.float64)


def unbiased_tone(images: Tensor, period: Period) -> float:
    """Return `tone` without the content's contribution: 0.0 where that exceeds it, NaN for fewer than two images.

    Where images have independent content, the product of the phase means of two *different* images has the square of
    the fixed grid as its expectation. This is the mean over all pairs, the average of all split halves.

    Raises:
        ValueError: If the images are no batch, not finite, or smaller than the period.
    """
    ac = alternating(phase_means(images, period).flatten(2))
    n = len(ac)
    if n < 2:
        return nan
    pairs = ac.sum(0).square() - ac.square().sum(0)
    return sqrt(max(0.0, float(pairs.mean()) / (n * (n - 1))))


def measure(trial: Trial) -> dict[str, float]:
    """Return the tone on constant images, RMS over levels, and of the residual on held-out photographs."""
    flat = trial.flat_interior(LEVELS)
    residual = spectra.interior(trial.residual, trial.period, trial.margin)
    return {
        "tone.flat_rms": flat_tone(flat, trial.period),
        "tone.flat_fraction": alternating_share(phase_means(flat, trial.period).flatten(2)),
        "tone.residual_rms": tone(residual, trial.period),
        "tone.residual_rms_unbiased": unbiased_tone(residual, trial.period),
    }
