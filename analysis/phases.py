"""The phases of a lattice: the pixels at one place of every cell, and how much of a power differs between places.

A grid of period L divides an image into cells of L pixels per axis; a phase is a place in the cell. What all cells have
in common is the fixed grid.
"""

from __future__ import annotations

from torch import Tensor

from checkerscope.analysis import spectra
from checkerscope.analysis.lattice import Period, per_axis


def phase_cells(images: Tensor, period: Period) -> Tensor:
    """Return the images cut into cells, (N, C, cells, period, cells, period, ...), float64: cells and phases by turns.

    Raises:
        ValueError: If the images are no batch, not finite, or smaller than the period.

    >>> import torch
    >>> phase_cells(torch.arange(6.0).reshape(1, 1, 6), 2)[0, 0]
    tensor([[0., 1.],
            [2., 3.],
            [4., 5.]], dtype=torch.float64)
    """
    x = spectra.interior(images, period)
    periods = per_axis(period, x.dim() - 2)
    split = [length for side, p in zip(x.shape[2:], periods, strict=True) for length in (side // p, p)]
    return x.reshape(*x.shape[:2], *split)


def over_cells(cells: Tensor) -> tuple[int, ...]:
    """Return the axes of `phase_cells` that count cells, to average over."""
    return tuple(range(2, cells.dim(), 2))


def phase_means(images: Tensor, period: Period) -> Tensor:
    """Return the mean over the pixels of each phase, (N, C, period, ..., period), float64.

    Raises:
        ValueError: If the images are no batch, not finite, or smaller than the period.

    >>> import torch
    >>> phase_means(torch.tensor([[[0.0, 1.0, 0.0, 3.0]]]), 2)
    tensor([[[0., 2.]]], dtype=torch.float64)
    """
    cells = phase_cells(images, period)
    return cells.mean(dim=over_cells(cells))


def alternating(values: Tensor) -> Tensor:
    """Return values (..., phases) less their mean over the phases: the AC part.

    >>> import torch
    >>> alternating(torch.tensor([1.0, 3.0]))
    tensor([-1.,  1.])
    """
    return values - values.mean(-1, keepdim=True)


def alternating_share(values: Tensor) -> float:
    """Return the AC part's share of the power of values (..., phases), 0 to 1; 0.0 where all of them are zero.

    sum_{q != 0} |DFT v|^2 / sum_q |DFT v|^2 over the phases, sums over the other axes too.

    >>> import torch
    >>> alternating_share(torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    0.5
    """
    power = float(values.square().sum())
    return float(alternating(values).square().sum()) / power if power else 0.0


def root_mean_square(values: Tensor) -> float:
    """Return the root of the mean square.

    >>> import torch
    >>> root_mean_square(torch.tensor([3.0, 4.0, 0.0, 0.0]))
    2.5
    """
    return float(values.square().mean().sqrt())
