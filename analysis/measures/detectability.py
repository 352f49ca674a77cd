"""Detectability: can a linear classifier tell reconstructions from originals by their spectra?

Responds to: any spectral difference, blur first of all; tone and replicas beyond it. A value near 1 does not mean a
grid.
Noise floor: 0.5, with a scatter of about 0.3 / sqrt(N) over N images.
Ground truth: originals against themselves read 0.5.
"""

from __future__ import annotations

from math import nan

import torch
from torch import Tensor

from checkerscope.analysis import spectra
from checkerscope.analysis.trial import Trial

LABEL = "Detectability"
SOURCE = "after Frank et al. 2020, arXiv:2003.08685 (linear classifier); ridge regression on log power spectra"
UNITS = {
    "detectability.auc": "area under the curve",
    "detectability.rings_auc": "area under the curve",
}

FOLDS = 5
#: Ridge penalty relative to the mean squared norm of a standardised spectrum.
PENALTY = 0.1


def detectability(images: Tensor, originals: Tensor, *, rings: bool = False) -> float:
    """Return the cross-validated area under the ROC curve, 0.5 (indistinguishable) to 1.

    Features are log powers of each image, averaged over channels before the logarithm, at every frequency or per
    ring, standardised on the training folds; the classifier is ridge regression. An image and its original are always
    in the same of five folds, and the area is averaged over the held-out folds.

    Args:
        images: (N, C, *spatial), image n made from original n.
        originals: The same shape.
        rings: Use radial bins instead of all frequencies.

    Returns:
        The area; NaN for fewer than ten pairs.

    Raises:
        ValueError: If the shapes differ, the images are no batch or not finite.
    """
    spectra.check_pair(images, originals, subjects=("images", "originals"))
    for batch, subject in ((images, "images"), (originals, "originals")):
        spectra.check_finite(batch, subject)
    n = len(images)
    if n < 2 * FOLDS:
        return nan
    features = torch.cat([_log_spectra(x, rings) for x in (images, originals)])
    labels = torch.cat([torch.ones(n), -torch.ones(n)]).double()
    fold = torch.arange(n).remainder(FOLDS).repeat(2)
    areas = []
    for held_out in range(FOLDS):
        train, test = fold != held_out, fold == held_out
        scores = _ridge(features[train], labels[train], features[test])
        areas.append(area_under_curve(scores[labels[test] > 0], scores[labels[test] < 0]))
    return sum(areas) / FOLDS


def area_under_curve(positive: Tensor, negative: Tensor) -> float:
    """Return the probability that a positive scores above a negative, ties counted half.

    >>> area_under_curve(torch.tensor([2.0, 3.0]), torch.tensor([1.0, 2.0]))
    0.875
    """
    above = positive[:, None] - negative
    return float(((above > 0).double() + 0.5 * (above == 0)).mean())


def _log_spectra(images: Tensor, rings: bool) -> Tensor:
    """Return log power per image, (N, features); a floor of 1e-12 keeps a vanishing power finite."""
    power = spectra.radial_power(images).mean(1) if rings else spectra.half_power(images)
    return (power + 1e-12).log().cpu()


def _ridge(train: Tensor, labels: Tensor, test: Tensor) -> Tensor:
    """Return the scores of the test rows, by the dual form: there are more features than images."""
    mean, scale = train.mean(0), train.std(0).clamp_min(1e-9)
    train, test = (train - mean) / scale, (test - mean) / scale
    gram = train @ train.T
    penalty = PENALTY * gram.diagonal().mean() + 1e-9
    weights = torch.linalg.solve(gram + penalty * torch.eye(len(gram), dtype=gram.dtype), labels)
    return test @ (train.T @ weights)


def measure(trial: Trial) -> dict[str, float]:
    """Return the area for all frequencies and for rings, of reconstructions against held-out originals."""
    images, target = (spectra.interior(x, trial.period, trial.margin) for x in (trial.reconstruction, trial.target))
    return {
        "detectability.auc": detectability(images, target),
        "detectability.rings_auc": detectability(images, target, rings=True),
    }
