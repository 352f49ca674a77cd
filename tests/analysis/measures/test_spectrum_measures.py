"""Radial, average and DCT spectra, and the error per band."""

import math

import numpy as np
import pytest
import scipy.fft
import torch

from checkerscope.analysis import spectra
from checkerscope.analysis.measures.average_spectrum import average_spectrum
from checkerscope.analysis.measures.band_error import band_error
from checkerscope.analysis.measures.dct_spectrum import dct, dct_spectrum
from checkerscope.analysis.measures.radial_spectrum import radial_spectrum
from tests.builders import noise

ALL = [radial_spectrum, average_spectrum, dct_spectrum]


def board(n):
    return torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(n // 2, n // 2)


@pytest.mark.parametrize("shape", [(31,), (20, 20), (15, 24), (9, 8, 10)])
def test_white_noise_reads_its_variance(shape):
    images = 0.5 * noise(600, 2, *shape, seed=0)
    assert radial_spectrum(images)[3:].numpy() == pytest.approx(0.25, rel=0.2)
    assert average_spectrum(images).mean().item() == pytest.approx(0.25, rel=0.06)
    assert dct_spectrum(images).mean().item() == pytest.approx(0.25, rel=0.06)


def test_no_bin_is_dropped_and_the_board_is_in_the_last():
    spectrum = radial_spectrum(board(64)[None, None])
    assert len(spectrum) == 46
    assert spectrum.argmax() == 45
    frequency = spectra.radial_frequencies((64, 64))
    assert frequency[32] == 0.5
    assert frequency[-1] == 45 / 64


@pytest.mark.parametrize("amplitude", [0.01, 1.0])
def test_adding_a_board_changes_the_spectrum_where_it_should(amplitude):
    images = noise(8, 1, 32, 32)
    change = average_spectrum(images + amplitude * board(32)) - average_spectrum(images)
    assert change[0, 0].abs() > 0.5 * change.abs().max()  # cross terms reach the neighbours too
    assert change[2:-1, 2:-1].abs().max() < 1e-12  # a Hann line spreads to its neighbours only


def test_zero_frequency_is_in_the_middle():
    wave = torch.cos(2 * math.pi * torch.arange(32) / 8).expand(1, 1, 24, 32)
    spectrum = average_spectrum(wave)
    assert spectrum.shape == (24, 32)
    assert spectrum.argmax() in (12 * 32 + 16 + 4, 12 * 32 + 16 - 4)


@pytest.mark.parametrize("shape", [(7,), (8, 5), (4, 3, 6)])
def test_dct_agrees_with_scipy(shape):
    images = noise(2, 3, *shape)
    expected = scipy.fft.dctn(images.numpy(), axes=tuple(range(2, 2 + len(shape))), norm="ortho")
    np.testing.assert_allclose(dct(images).numpy(), expected, atol=1e-12)


def test_dct_power_does_not_fall_with_the_number_of_images():
    """Unlike the mean of signed coefficients, which tends to zero."""
    few, many = (dct_spectrum(noise(n, 1, 16, 16)).log().mean().item() for n in (100, 2000))
    assert few == pytest.approx(many, abs=0.05)


def test_a_blur_loses_exactly_the_band_that_it_removes():
    target = noise(16, 1, 64, 64)
    f = torch.fft.fftfreq(64, dtype=torch.float64)
    low = (f.square()[:, None] + f.square()).sqrt() < 0.25
    blurred = torch.fft.ifft2(torch.fft.fft2(target) * low).real
    rings = band_error(blurred, target)
    assert rings[2:13].max() < 0.01
    assert rings[20:].min() > 0.99


def test_band_error_is_nan_where_the_target_is_empty():
    flat = torch.full((2, 1, 16, 16), 0.5)
    assert band_error(flat + noise(2, 1, 16, 16), flat).isnan().all()


@pytest.mark.parametrize("spectrum", ALL)
@pytest.mark.parametrize("shape", [(1, 1, 17), (1, 3, 16, 9), (2, 1, 1, 1), (1, 1, 2, 2, 3)])
def test_any_size_is_defined(spectrum, shape):
    assert torch.isfinite(spectrum(noise(*shape))).all()
    assert spectrum(torch.full(shape, 0.3)).max() < 1e-12


@pytest.mark.parametrize("spectrum", ALL)
def test_bad_input_is_refused(spectrum):
    with pytest.raises(ValueError, match="1 of 64 not finite"):
        spectrum(torch.cat([torch.zeros(63), torch.tensor([math.nan])]).reshape(1, 1, 8, 8))
    with pytest.raises(ValueError, match="shape"):
        spectrum(torch.zeros(8, 8))


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"images: expected shape \(1, 1, 8, 9\), got \(1, 1, 8, 8\)"):
        band_error(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 9))
