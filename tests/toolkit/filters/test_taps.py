"""Filters: known taps, zeros at the alias frequencies, and agreement with scipy's design and convolution."""

import copy
import math

import numpy as np
import pytest
import torch
from scipy import ndimage, signal

from checkerscope.toolkit import filters

SCALES = (2, 3, 4, 5, 6, 7, 8)


def tone(taps, scale):
    """Level of the strongest alias line that a constant leaves, against its mean, in dB."""
    lines = torch.fft.fft(filters.phase_gains(taps, scale)).abs()
    return 20 * math.log10(float(lines[1:].max() / lines[0]) + 1e-20)


def derivative_at(taps, frequency, order):
    """Return |d^order H / d w^order| at `frequency` cycles per pixel, positions scaled to [-1, 1]."""
    n = torch.linspace(-1, 1, len(taps), dtype=torch.float64) if len(taps) > 1 else torch.zeros(1, dtype=torch.float64)
    turn = 2 * math.pi * frequency * torch.arange(len(taps), dtype=torch.float64)
    return float(torch.hypot((taps * n**order * turn.cos()).sum(), (taps * n**order * turn.sin()).sum()))


def test_bilinear_taps_follow_the_closed_form():
    """Of fully convolutional networks: 1 - |i / f - c|, f = ceil(k / 2), c = (2 f - 1 - f % 2) / (2 f)."""
    for s in range(1, 9):
        k = 2 * s - s % 2
        f = math.ceil(k / 2)
        c = (2 * f - 1 - f % 2) / (2 * f)
        expected = torch.tensor([1 - abs(i / f - c) for i in range(k)], dtype=torch.float64)
        torch.testing.assert_close(filters.sampled(filters.triangle, 1.0, s), expected, rtol=0, atol=1e-12)


def test_bicubic_taps_at_scale_two():
    taps = filters.sampled(lambda t: filters.keys(t, -0.75), 2.0, 2)
    half = torch.tensor([-0.03515625, -0.10546875, 0.26171875, 0.87890625], dtype=torch.float64)
    torch.testing.assert_close(taps, torch.cat([half, half.flip(0)]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("profile", [(filters.triangle, 1.0), (lambda t: filters.keys(t, -0.5), 2.0)])
def test_interpolating_profiles_have_equal_phase_gains(profile, scale):
    gains = filters.phase_gains(filters.sampled(*profile, scale), scale)
    torch.testing.assert_close(gains, torch.ones(scale, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_smoothing_kernel_keeps_its_theorem(scale, order):
    taps = filters.bspline(order, scale)
    assert len(taps) == (order + 1) * (scale - 1) + 1
    torch.testing.assert_close(
        filters.phase_gains(taps, scale), torch.ones(scale, dtype=torch.float64), rtol=0, atol=1e-12
    )
    for m in range(1, scale):
        zeros = [derivative_at(taps, m / scale, j) for j in range(order + 1)]
        assert max(zeros) < 1e-12 * scale
        assert derivative_at(taps, m / scale, order + 1) > 1e-6  # and no zero more


@pytest.mark.parametrize(
    ("scale", "expected"), [(4, [56, 42, 56, 42]), (5, [115, 115, 92, 115, 92])], ids=["scale 4", "scale 5"]
)
def test_cutting_the_smoothing_kernel_breaks_the_theorem(scale, expected):
    """The authors' program pads the convolution of boxes with (s + 1) // 2 zeros, not s - 1; sums as measured there."""
    whole = filters.bspline(1, scale) * scale  # they leave it unnormalised
    cut = scale - 1 - (scale + 1) // 2
    truncated = whole[cut : len(whole) - cut]
    sums = filters.phase_gains(truncated, scale) * truncated.sum()  # the other axis of the image adds its sum
    torch.testing.assert_close(sums, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("lobes", "worst"), [(2, -46), (3, -57), (4, -64)], ids=["Lanczos-2", "Lanczos-3", "Lanczos-4"]
)
def test_lanczos_leaks_a_tone_until_its_phases_are_normalised(lobes, worst):
    raw = {s: filters.sampled(lambda t: filters.lanczos(t, lobes), lobes, s) for s in (2, 3, 4)}
    assert max(tone(raw[s], s) for s in (3, 4)) == pytest.approx(worst, abs=1.0)
    assert tone(raw[2], 2) < -250  # even symmetry is enough at scale 2
    for s, taps in raw.items():
        assert tone(filters.with_equal_phases(taps, s), s) < -250


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("taps_per_phase", "cutoff", "half_width"), [(6, 0.5, 0.1156), (4, 0.4, 0.3), (2, 0.3, 0.01)])
def test_kaiser_sinc_equals_scipy_firwin(scale, taps_per_phase, cutoff, half_width):
    ours = filters.kaiser_sinc(scale, taps_per_phase * scale, cutoff, half_width)
    theirs = signal.firwin(taps_per_phase * scale, cutoff, width=2 * half_width, fs=scale) * scale
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("scale", "level"), [(3, -36), (4, -41), (5, -39)])
def test_kaiser_sinc_leaks_a_tone_until_its_phases_are_normalised(scale, level):
    taps = filters.kaiser_sinc(scale, 6 * scale - scale % 2, 0.5, 0.5 * (2**0.3 - 1))
    assert tone(taps, scale) == pytest.approx(level, abs=1.0)
    assert tone(filters.with_equal_phases(taps, scale), scale) < -250
    assert tone(filters.kaiser_sinc(2, 12, 0.5, 0.5 * (2**0.3 - 1)), 2) < -250


def test_kaiser_sinc_at_scale_one_is_the_identity():
    assert filters.kaiser_sinc(1, 6, 0.5, 0.1).tolist() == [1.0]


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize(("scale", "k"), [(2, 4), (2, 3), (3, 5), (3, 2), (2, 9), (4, 17), (1, 3)])
@pytest.mark.parametrize("border", filters.BORDERS)
def test_enlarge_equals_zero_insertion_and_scipy_convolution(dims, scale, k, border):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn((1, 2, *(4, 3, 5)[:dims]), generator=generator, dtype=torch.float64)
    taps = torch.randn(k, generator=generator, dtype=torch.float64)
    got = filters.enlarge(x, taps, scale, border=border)
    reach = -(-k // scale) + 1
    pad = [(reach, reach)] * dims
    before = max(0, -((scale - k) // 2))  # taps before the first output, as exact_padding says
    for channel in range(2):
        full = np.pad(x[0, channel].numpy(), pad, **({"mode": "edge"} if border == "replicate" else {}))
        for axis in range(dims):
            wide = np.zeros([side * (scale if a == axis else 1) for a, side in enumerate(full.shape)])
            wide[tuple(slice(None, None, scale if a == axis else 1) for a in range(dims))] = full
            # scipy's origin moves the filter; output j is sum of taps[n] wide[j + before - n]
            full = ndimage.convolve1d(wide, taps.numpy(), axis, mode="constant", origin=before - k // 2)
        inside = tuple(slice(reach * scale, (reach + side) * scale) for side in x.shape[2:])
        np.testing.assert_allclose(got[0, channel].numpy(), full[inside], rtol=0, atol=1e-12)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize(("k", "outside"), [(3, 1), (4, 3), (9, 0), (9, 8)])
def test_smooth_equals_scipy_convolution(dims, k, outside):
    generator = torch.Generator().manual_seed(2)
    x = torch.randn((1, 2, *(10, 11, 9)[:dims]), generator=generator, dtype=torch.float64)
    taps = torch.randn(k, generator=generator, dtype=torch.float64)
    bias = torch.tensor([0.5, -1.0], dtype=torch.float64)
    got = filters.smooth(x, taps, bias, outside)
    kernel = filters.outer(taps, dims).numpy()
    for channel in range(2):
        full = signal.convolve(x[0, channel].numpy(), kernel) + bias[channel].item()
        cut = k - 1 - outside
        inside = tuple(slice(cut, side - cut) for side in full.shape)
        np.testing.assert_allclose(got[0, channel].numpy(), full[inside], rtol=0, atol=1e-11)


def test_convolution_matrix_and_along_axes_convolve():
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(2, 3, 4, 4, generator=generator, dtype=torch.float64)
    taps = torch.randn(3, generator=generator, dtype=torch.float64)
    got = filters.along_axes(weight, filters.convolution_matrix(taps, 4))
    for a in range(2):
        for b in range(3):
            expected = signal.convolve2d(weight[a, b], filters.outer(taps, 2))
            np.testing.assert_allclose(got[a, b], expected, rtol=0, atol=1e-12)


def test_constant_keeps_float64_through_conversions():
    constant = filters.Constant(torch.tensor([1 / 3], dtype=torch.float64))
    assert constant().dtype == torch.float32
    assert constant.float().double()().item() == 1 / 3
    assert copy.deepcopy(constant).half().double()().item() == 1 / 3
    assert not constant.state_dict()
    assert not list(constant.parameters())


def test_an_empty_phase_is_refused():
    with pytest.raises(ValueError, match=r"filter: phase gains: expected values other than 0, got \[1.0, 0.0\]"):
        filters.with_equal_phases(torch.tensor([1.0, 0.0]), 2)


def test_an_unknown_border_is_refused():
    with pytest.raises(ValueError, match="filter: border: expected one of 'zeros', 'replicate', got 'mirror'"):
        filters.enlarge(torch.zeros(1, 1, 4), torch.ones(2), 2, border="mirror")
