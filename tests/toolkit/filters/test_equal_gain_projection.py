"""The projection onto equal phase gains, against the spectral definition by pseudo-inverse and the closed form."""

import itertools
import math

import pytest
import torch

from checkerscope.toolkit.filters import equal_gain_projection

CASES = [
    *(((k,), (2,), order) for k, order in [(2, 0), (3, 0), (5, 0), (3, 1), (4, 1), (8, 1), (4, 2), (7, 2)]),
    *(((k,), (3,), order) for k, order in [(3, 0), (7, 0), (5, 1), (6, 1), (9, 1)]),
    ((14,), (5,), 1),
    ((3, 3), (2, 2), 0),
    ((4, 4), (2, 2), 1),
    ((3, 3), (2, 2), 1),
    ((6, 5), (3, 2), 1),
    ((6, 1), (3, 1), 1),
    ((3, 3, 3), (2, 2, 2), 1),
]


def grid(sides):
    return torch.tensor(list(itertools.product(*(range(side) for side in sides)))).reshape(-1, len(sides))


def spectral_projection(positions, strides, order):
    """I - A^+ A, with a row n^j cos(2 pi m n / s) and n^j sin(2 pi m n / s) per alias frequency m and |j| <= order."""
    positions = positions.to(torch.float64)
    centred = (positions - positions.mean(0)) / positions.abs().max()
    rows = []
    for m in itertools.product(*(range(stride) for stride in strides)):
        turn = 2 * math.pi * (positions * torch.tensor(m) / torch.tensor(strides)).sum(1)
        powers = [j for j in itertools.product(range(order + 1), repeat=len(strides)) if sum(j) <= order and any(m)]
        for j in powers:
            monomial = centred.pow(torch.tensor(j)).prod(1)
            rows += [monomial * turn.cos(), monomial * turn.sin()]
    conditions = torch.stack(rows)
    return torch.eye(len(positions), dtype=torch.float64) - torch.linalg.pinv(conditions, rtol=1e-9) @ conditions


@pytest.mark.parametrize(("kernel_size", "strides", "order"), CASES, ids=str)
def test_transposed_projection_equals_the_spectral_definition(kernel_size, strides, order):
    positions = grid(kernel_size)
    ours = equal_gain_projection.transposed_projection(kernel_size, strides, order)(
        torch.eye(len(positions), dtype=torch.float64)
    )
    torch.testing.assert_close(ours, spectral_projection(positions, strides, order), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("kernel_size", "strides", "order"),
    [((1,), (3,), 0), ((3,), (2,), 1), ((5,), (3,), 2), ((3, 3), (2, 2), 1)],
    ids=str,
)
def test_sub_pixel_projection_equals_the_spectral_definition(kernel_size, strides, order):
    tap = torch.tensor(strides) * (torch.tensor([k // 2 for k in kernel_size]) - grid(kernel_size))
    positions = torch.cat([phase + tap for phase in grid(strides)])
    ours = equal_gain_projection.sub_pixel_projection(kernel_size, strides, order)(
        torch.eye(len(positions), dtype=torch.float64)
    )
    torch.testing.assert_close(ours, spectral_projection(positions, strides, order), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("k", "s"), [(4, 2), (5, 2), (3, 2), (7, 3), (8, 4)])
def test_order_zero_is_the_closed_form_over_all_phases_of_the_block(k, s):
    weight = torch.randn(2, 3, k, k, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    blocks = [(p, q) for p in range(s) for q in range(s)]
    gains = torch.stack([weight[..., p::s, q::s].sum((2, 3)) for p, q in blocks])
    counts = torch.tensor([weight[0, 0, p::s, q::s].numel() for p, q in blocks], dtype=torch.float64)[:, None, None]
    common = (gains / counts).sum(0) / (1 / counts).sum(0)
    expected = weight.clone()
    for (p, q), gain, count in zip(blocks, gains, counts, strict=True):
        expected[..., p::s, q::s] -= ((gain - common) / count)[..., None, None]
    torch.testing.assert_close(equal_gain_projection.project_transposed(weight, (s, s)), expected, rtol=0, atol=1e-12)


def test_order_zero_of_a_sub_pixel_kernel_moves_phase_means():
    weight = torch.randn(2 * 4, 3, 3, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    got = equal_gain_projection.project_sub_pixel(weight, (2, 2))
    means = weight.mean((2, 3)).reshape(2, 4, 3)
    change = (means.mean(1, keepdim=True) - means).reshape(8, 3, 1, 1)
    torch.testing.assert_close(got, weight + change, rtol=0, atol=1e-12)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_projected_kernels_reproduce_polynomials(order):
    """Zeros of multiplicity d + 1 at the alias frequencies: polynomials of degree d come out as polynomials."""
    s, k = 3, 12
    weight = torch.randn(1, 1, k, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    kernel = equal_gain_projection.project_transposed(weight, (s,), order)
    ramp = torch.linspace(-1, 1, 40, dtype=torch.float64) ** order
    y = torch.nn.functional.conv_transpose1d(ramp[None, None], kernel, stride=s)[0, 0, k:-k]
    torch.testing.assert_close(y.diff(n=order + 1), torch.zeros(len(y) - order - 1).double(), rtol=0, atol=1e-12)
    assert y.diff(n=order).abs().max() > 1e-6


@pytest.mark.parametrize("order", [0, 1])
def test_the_projection_is_orthogonal_and_keeps_b_splines(order):
    projection = equal_gain_projection.transposed_projection((6, 6), (2, 2), order)
    matrix = projection(torch.eye(36, dtype=torch.float64))
    torch.testing.assert_close(matrix, matrix.T, rtol=0, atol=1e-12)
    torch.testing.assert_close(matrix @ matrix, matrix, rtol=0, atol=1e-12)
    spline = torch.nn.functional.pad(torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64), (1, 1))
    kernel = (spline[:, None] * spline).flatten()
    torch.testing.assert_close(projection(kernel), kernel, rtol=0, atol=1e-12)


def test_dilation_without_a_common_factor_only_renames_the_phases():
    weight = torch.randn(1, 1, 6, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    kernel = equal_gain_projection.project_transposed(weight, (3,))
    x = torch.ones(1, 1, 12, dtype=torch.float64)
    y = torch.nn.functional.conv_transpose1d(x, kernel, stride=3, dilation=2)[0, 0, 12:-12]
    assert y.std() < 1e-12


def test_dtype_and_shape_are_kept():
    weight = torch.randn(2, 1, 4, generator=torch.Generator().manual_seed(8))
    got = equal_gain_projection.project_transposed(weight, (2,), 1)
    assert got.dtype == torch.float32
    assert got.shape == weight.shape


@pytest.mark.parametrize(
    ("kernel_size", "stride", "order", "least"), [(2, 3, 0, 3), (4, 4, 1, 7), (2, 2, 1, 3)], ids=str
)
def test_kernels_that_are_too_small_are_refused(kernel_size, stride, order, least):
    message = (
        f"equal gain: kernel: expected at least {least} taps at stride {stride} and order {order}, got {kernel_size}"
    )
    with pytest.raises(ValueError, match=message):
        equal_gain_projection.project_transposed(torch.zeros(1, 1, kernel_size), (stride,), order)


def test_a_sub_pixel_kernel_that_is_too_small_is_refused():
    with pytest.raises(ValueError, match="equal gain: kernel: expected at least 3 taps at stride 2 and order 1, got 2"):
        equal_gain_projection.project_sub_pixel(torch.zeros(2, 1, 1), (2,), 1)


def test_a_negative_order_is_refused():
    with pytest.raises(ValueError, match="equal gain: order: expected an integer from 0, got -1"):
        equal_gain_projection.project_transposed(torch.zeros(1, 1, 4), (2,), -1)
