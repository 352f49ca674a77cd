"""Segmentation quality: intersection over union of regions, and of their boundaries.

Responds to: wrong classes; the boundary version to ragged and misplaced edges, which is where a grid in the logits
shows first. A grid that never changes the winning class moves neither.
Noise floor: the labels' own: a pixel that two classes share has one label, so even the best boundary is off by half a
pixel.
Ground truth: exactly 1. The whole image counts, border included.
"""

from __future__ import annotations

from math import nan

import torch
from torch import Tensor
from torch.nn import functional as F

from checkerscope.analysis import spectra
from checkerscope.analysis.trial import Trial
from checkerscope.toolkit import checks

LABEL = "Segmentation"
SOURCE = "Jaccard 1912; Cheng et al. 2021, arXiv:2103.16562 (boundary)"
UNITS = {
    "segmentation.iou": "fraction",
    "segmentation.boundary_iou": "fraction",
    "segmentation.accuracy": "fraction",
}

#: Width of a boundary as a fraction of the image's diagonal, as in the source.
BOUNDARY_FRACTION = 0.02


def segmentation(predicted: Tensor, truth: Tensor, *, classes: int, distance: int | None = None) -> Tensor:
    """Return the intersection over union of each class, (classes,) float64; NaN for a class that neither shows.

    Counts are pooled over the batch before the division, so that small images and rare classes do not weigh more.

    Args:
        predicted: Class of every pixel, int64 (N, *spatial).
        truth: The same of the ground truth.
        classes: Number of classes.
        distance: None for whole regions; else only the pixels of a region that lie within so many pixels of its
            outside count (boundary IoU). Distances are in the chessboard metric, as the source's erosions are. Unlike
            there, the image's border is no boundary: nobody has drawn it.

    Raises:
        ValueError: If shapes differ, a class is out of range or the distance is below 1.

    >>> segmentation(torch.tensor([[0, 0, 1, 1]]), torch.tensor([[0, 1, 1, 1]]), classes=2)
    tensor([0.5000, 0.6667], dtype=torch.float64)
    """
    checks.integer("classes", classes)
    if predicted.shape != truth.shape or not 2 <= truth.dim() <= 4:
        raise checks.mismatch("predicted", f"shape {tuple(truth.shape)}, one to three axes", tuple(predicted.shape))
    masks = [_masks(labels, classes, name) for labels, name in ((predicted, "predicted"), (truth, "truth"))]
    if distance is not None:
        checks.integer("distance", distance)
        masks = [mask & _near_outside(mask, distance) for mask in masks]
    axes = (0, *range(2, masks[0].dim()))
    both, either = (masks[0] & masks[1]).sum(axes), (masks[0] | masks[1]).sum(axes)
    return both.double() / either  # 0 / 0 is NaN


def _masks(labels: Tensor, classes: int, name: str) -> Tensor:
    """Return (N, classes, *spatial) booleans."""
    if labels.is_floating_point() or (labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < classes):
        got = f"{labels.dtype} from {labels.min()} to {labels.max()}"
        raise checks.mismatch(name, f"integer classes from 0 to {classes - 1}", got)
    return torch.stack([labels == k for k in range(classes)], dim=1)


def _near_outside(mask: Tensor, distance: int) -> Tensor:
    pool = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[mask.dim() - 2]
    # max-pooling pads with minus infinity: beyond the image there is no outside
    return pool((~mask).float(), 2 * distance + 1, stride=1, padding=distance) > 0


def measure(trial: Trial) -> dict[str, float]:
    """Return mean IoU and boundary IoU over the classes that occur, and the accuracy; NaN where the target is no mask.

    The target must be one-hot, (N, classes, *spatial); the reconstruction has a number per class, the largest wins.
    """
    spectra.check_finite(trial.reconstruction, "reconstruction")
    target = trial.target
    classes = target.shape[1]
    is_mask = classes > 1 and bool(((target == 0) | (target == 1)).all()) and bool((target.sum(1) == 1).all())
    if not is_mask:
        return dict.fromkeys(UNITS, nan)
    predicted, truth = trial.reconstruction.argmax(1), target.argmax(1)
    diagonal = sum(side**2 for side in truth.shape[1:]) ** 0.5
    distance = max(1, round(BOUNDARY_FRACTION * diagonal))
    regions = segmentation(predicted, truth, classes=classes)
    edges = segmentation(predicted, truth, classes=classes, distance=distance)
    return {
        "segmentation.iou": float(regions.nanmean()),
        "segmentation.boundary_iou": float(edges.nanmean()),
        "segmentation.accuracy": float((predicted == truth).double().mean()),
    }
