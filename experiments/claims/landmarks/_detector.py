"""A linear classifier on whatever features a paper uses: ridge regression on standardised columns."""

from __future__ import annotations

import torch
from torch import Tensor


def accuracy(train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], *, penalty: float = 0.1) -> float:
    """Return the share of test rows that land on the right side.

    Args:
        train: Features of real and of made images, each (N, F).
        test: The same of other images.
        penalty: Relative to the mean squared norm of a standardised row.
    """
    rows = torch.cat(train).double()
    labels = torch.cat([torch.ones(len(train[0])), -torch.ones(len(train[1]))]).double()
    mean, scale = rows.mean(0), rows.std(0).clamp_min(1e-9)
    rows = (rows - mean) / scale
    gram = rows @ rows.T
    gram += (penalty * gram.diagonal().mean() + 1e-9) * torch.eye(len(gram), dtype=gram.dtype)
    # the dual form: there are more features than images
    weights = rows.T @ torch.linalg.solve(gram, labels)
    offset = (labels - rows @ weights).mean()
    real, made = (((part.double() - mean) / scale) @ weights + offset for part in test)
    return float(torch.cat([real > 0, made < 0]).double().mean())
