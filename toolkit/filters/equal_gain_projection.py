"""The space of kernels with equal phase gains, and the projection onto it.

A kernel h that enlarges s times leaves no tone on constants when all its phase gains are equal: when its spectrum
vanishes at every alias frequency m / s. Order d asks for zeros of multiplicity d + 1 there, so that maps that are
polynomials of degree d stay clean as well (the Strang-Fix conditions). In several dimensions all derivatives of total
order up to d vanish at every alias frequency; order 0 is then one condition on all phases of the block.

Equivalently every phase has the same moments: sum of n^j h[n] over the taps n of phase p, the same for all p, for every
multi-index |j| <= d. That form splits by phases, which keeps the projection exact and cheap where the matrix of the
spectral form would have (k^d)^2 entries.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from checkerscope.toolkit import checks

#: Singular values below this part of the largest count as zero; positions are scaled to [-1, 1].
RANK_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Projection:
    """An orthogonal projection h - (h @ analysis) @ synthesis on flattened kernels, in float64.

    Attributes:
        analysis: (K, r), from K taps to how far the moments of every phase lie from the common ones.
        synthesis: (r, K), back to the taps, with the least change.
    """

    analysis: Tensor
    synthesis: Tensor

    def __call__(self, taps: Tensor) -> Tensor:
        """Return the projection of `taps` (..., K)."""
        return taps - (taps @ self.analysis.to(taps)) @ self.synthesis.to(taps)


def project_transposed(weight: Tensor, strides: Sequence[int], order: int = 0) -> Tensor:
    """Return the nearest transposed kernel (C_in, C_out / g, *k) with equal phase gains, computed in float64.

    A dilation that shares no factor with the stride changes nothing: it only renames the phases.

    Raises:
        ValueError: If the kernel is too small for the stride and order.

    >>> project_transposed(torch.tensor([[[1.0, 2.0, 3.0]]]), [2])
    tensor([[[0.3333, 2.6667, 2.3333]]])
    """
    projection = transposed_projection(weight.shape[2:], strides, order)
    flat = projection(weight.to(torch.float64).flatten(2))
    return flat.to(weight.dtype).reshape(weight.shape)


def project_sub_pixel(weight: Tensor, strides: Sequence[int], order: int = 0) -> Tensor:
    """Return the nearest sub-pixel kernel (C_out prod(strides), C_in, *k) with equal phase gains, in float64.

    Raises:
        ValueError: If the kernel is too small for the stride and order.

    >>> project_sub_pixel(torch.tensor([[[1.0]], [[2.0]], [[6.0]]]), [3]).flatten()
    tensor([3., 3., 3.])
    """
    projection = sub_pixel_projection(weight.shape[2:], strides, order)
    flat = projection(flatten_sub_pixel(weight.to(torch.float64), strides))
    return unflatten_sub_pixel(flat, weight.shape).to(weight.dtype)


def flatten_sub_pixel(weight: Tensor, strides: Sequence[int]) -> Tensor:
    """Return (C_out, C_in, P * taps) from a sub-pixel kernel (C_out * P, C_in, *k), P = prod(strides)."""
    return weight.unflatten(0, (-1, prod(strides))).transpose(1, 2).flatten(2)


def unflatten_sub_pixel(flat: Tensor, shape: Sequence[int]) -> Tensor:
    """Return the sub-pixel kernel of `shape` (C_out * P, C_in, *k) from (C_out, C_in, P * taps)."""
    phases = shape[0] // flat.shape[0]
    return flat.unflatten(2, (phases, -1)).transpose(1, 2).reshape(tuple(shape))


def transposed_projection(kernel_size: Sequence[int], strides: Sequence[int], order: int = 0) -> Projection:
    """Return the projection of flattened transposed kernels (..., prod(k)).

    Raises:
        ValueError: If the kernel is too small for the stride and order.
    """
    check_size(kernel_size, strides, order)
    return _projection(_grid(kernel_size), strides, order)


def sub_pixel_projection(kernel_size: Sequence[int], strides: Sequence[int], order: int = 0) -> Projection:
    """Return the projection of sub-pixel kernels, flattened by `flatten_sub_pixel`.

    Tap i of phase p stands at n = p + s (c - i) of the transposed kernel of size s k, c the centre.

    Raises:
        ValueError: If the kernel is too small for the stride and order.
    """
    check_size([k * s for k, s in zip(kernel_size, strides, strict=True)], strides, order)
    centre = torch.tensor([k // 2 for k in kernel_size])
    offsets = (centre - _grid(kernel_size)) * torch.tensor(list(strides))
    positions = _grid(strides)[:, None] + offsets
    return _projection(positions.flatten(0, 1), strides, order)


def smallest_kernel(stride: int, order: int = 0) -> int:
    """Return the fewest taps per axis that leave a kernel other than zero: (order + 1)(s - 1) + 1, a B-spline's.

    >>> smallest_kernel(2), smallest_kernel(2, 1)
    (2, 3)
    """
    return (order + 1) * (stride - 1) + 1


def check_size(kernel_size: Sequence[int], strides: Sequence[int], order: int) -> None:
    """Check that a transposed kernel of this size can have equal phase gains.

    Raises:
        ValueError: If it has fewer taps than `smallest_kernel` on some axis.
    """
    checks.integer("equal gain: order", order, minimum=0)
    for k, stride in zip(kernel_size, strides, strict=True):
        least = smallest_kernel(stride, order)
        if k < least:
            expected = f"at least {least} taps at stride {stride} and order {order}"
            raise checks.mismatch("equal gain: kernel", expected, k, f"use kernel_size={least} or more")


def _grid(sides: Sequence[int]) -> Tensor:
    return torch.cartesian_prod(*(torch.arange(side) for side in sides)).reshape(-1, len(sides))


def _projection(positions: Tensor, strides: Sequence[int], order: int) -> Projection:
    """Return the projection for taps at integer `positions` (K, d)."""
    moments = _monomials(positions, order)  # (K, J)
    phases = _phase_of(positions, strides)
    inverses = [torch.linalg.pinv(moments[phases == p].T, rtol=RANK_TOLERANCE) for p in range(prod(strides))]
    common = _common_moments(moments, phases, inverses)  # (P, J, J): what a phase adds to the common moments
    count, number = len(inverses), moments.shape[1]
    own = torch.zeros(positions.shape[0], count, number, dtype=torch.float64)
    synthesis = torch.zeros(count, number, positions.shape[0], dtype=torch.float64)
    for p, inverse in enumerate(inverses):
        own[phases == p, p] = moments[phases == p]
        synthesis[p][:, phases == p] = inverse.T
    shared = torch.einsum("kj,kij->ki", moments, common[phases])
    analysis = own - shared[:, None]
    return Projection(analysis.flatten(1), synthesis.flatten(0, 1))


def _monomials(positions: Tensor, order: int) -> Tensor:
    # any affine change of the position spans the same conditions; this one keeps the moments near 1
    scaled = positions.to(torch.float64) - positions.to(torch.float64).mean(0)
    scaled = scaled / scaled.abs().amax().clamp_min(1.0)
    powers = [j for j in itertools.product(range(order + 1), repeat=positions.shape[1]) if sum(j) <= order]
    return torch.stack([(scaled ** torch.tensor(j)).prod(1) for j in powers], 1)


def _phase_of(positions: Tensor, strides: Sequence[int]) -> Tensor:
    phase = torch.zeros(positions.shape[0], dtype=torch.long)
    for axis, stride in enumerate(strides):
        phase = phase * stride + positions[:, axis] % stride
    return phase


def _common_moments(moments: Tensor, phases: Tensor, inverses: Sequence[Tensor]) -> Tensor:
    """Return W (P, J, J): the common moments with the least change of the taps are sum over p of W_p m_p.

    They minimise sum of |V_p^+ (m_p - mu)|^2 over the mu that every phase can reach: one with few taps cannot have
    every set of moments.
    """
    number = moments.shape[1]
    identity = torch.eye(number, dtype=torch.float64)
    cost = torch.stack([inverse.T @ inverse for inverse in inverses])
    missed = sum(
        (identity - moments[phases == p].T @ inverse for p, inverse in enumerate(inverses)), torch.zeros_like(identity)
    )
    values, vectors = torch.linalg.eigh((missed + missed.T) / 2)
    basis = vectors[:, values < RANK_TOLERANCE * len(inverses)]
    return basis @ torch.linalg.solve(basis.T @ cost.sum(0) @ basis, basis.T) @ cost
