"""Spectra against slow sums, and the normalization that white noise shows."""

import math

import numpy as np
import pytest
import torch

from checkerscope.analysis import spectra
from tests.builders import noise

SHAPES = [(64,), (15,), (1, 1), (2, 2), (3, 5), (16, 16), (17, 24), (33, 33), (12, 64), (64, 12), (6, 8, 10), (5, 7, 9)]


def slow_power(image):
    """The definition, in numpy, for one image."""
    axes = [0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n) if n > 1 else np.ones(1) for n in image.shape]
    window = np.ones(())
    for axis in axes:
        window = np.multiply.outer(window, axis)
    centred = (image - (image * window).sum() / window.sum()) * window
    return np.abs(np.fft.fftn(centred)) ** 2 / (window**2).sum()


@pytest.mark.parametrize("shape", SHAPES)
def test_power_is_the_definition_at_every_frequency(shape):
    images = noise(3, 2, *shape)
    expected = np.mean([[slow_power(channel) for channel in image] for image in images.numpy()], axis=0)
    np.testing.assert_allclose(spectra.mean_power(images).numpy(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_ring_power_is_a_masked_mean_and_no_ring_is_empty(shape):
    images = noise(2, 3, *shape)
    radius = sum(np.meshgrid(*[np.fft.fftfreq(n) ** 2 for n in shape], indexing="ij"))
    index = np.round(np.sqrt(radius) * max(shape)).astype(int)
    powers = [[slow_power(channel) for channel in image] for image in images.numpy()]
    expected = [[[p[index == k].mean() for k in range(index.max() + 1)] for p in image] for image in powers]
    np.testing.assert_allclose(spectra.radial_power(images).numpy(), expected, rtol=1e-9, atol=1e-12)
    mean = spectra.ring_means(spectra.mean_power(images).mean(0))
    torch.testing.assert_close(mean, spectra.radial_power(images).mean((0, 1)), rtol=1e-9, atol=1e-12)
    assert len(spectra.radial_frequencies(shape)) == len(mean)


def test_the_corner_is_the_last_ring():
    board = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(32, 32)[None, None]
    rings = spectra.radial_power(board)[0, 0]
    assert rings.argmax() == len(rings) - 1 == 45
    assert rings[:40].max() < 1e-20 * rings.max()


def test_white_noise_reads_its_variance_everywhere():
    images = 0.3 * noise(400, 1, 32, 32, seed=0)
    power = spectra.mean_power(images)[0]
    # 400 draws of an exponential: 5 % scatter; the lowest bins lose what the removed mean takes
    assert power[2:-1, 2:-1].mean().item() == pytest.approx(0.09, rel=0.01)
    assert power[2:-1, 2:-1].max().item() < 0.09 * 1.3


@pytest.mark.parametrize("level", [0.0, 0.3, 1e6])
def test_a_constant_image_has_no_power(level):
    images = torch.full((2, 3, 16, 16), level)
    assert spectra.mean_power(images).max().item() <= 1e-24 * max(level, 1) ** 2


@pytest.mark.parametrize(("period", "amplitude"), [(2, 0.2), (4, 0.1)])
def test_a_cosine_has_half_its_amplitude_at_each_line(period, amplitude):
    wave = 0.2 * torch.cos(2 * math.pi * torch.arange(32) / period).expand(1, 1, 24, 32)
    coefficients = spectra.coefficients(wave)
    assert coefficients[0, 0, 0, 32 // period].abs().item() == pytest.approx(amplitude, rel=1e-6)


def test_the_result_does_not_depend_on_the_chunks(monkeypatch):
    images = noise(7, 2, 16, 16)
    whole = spectra.mean_power(images), spectra.radial_power(images)
    monkeypatch.setattr(spectra, "CHUNK", 600)
    torch.testing.assert_close(whole, (spectra.mean_power(images), spectra.radial_power(images)))


def test_interior_keeps_the_phase_and_crops_the_margin():
    x = torch.arange(23.0).reshape(1, 1, 23)
    kept = spectra.interior(x, 4, margin=3)
    assert kept.dtype == torch.float64
    assert kept.flatten().tolist() == [float(i) for i in range(4, 20)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: spectra.mean_power(torch.zeros(4, 4)),
            r"shape \(n, c, \*spatial\) with 1 to 3 spatial axes, got",
        ),
        (lambda: spectra.mean_power(torch.zeros(0, 1, 4, 4)), "images: expected shape"),
        (lambda: spectra.mean_power(torch.zeros(1, 1, 4, 4, dtype=torch.complex64)), "images: expected real numbers"),
        (lambda: spectra.mean_power(torch.full((2, 1, 4, 4), math.nan)), "finite numbers, got 32 of 32 not finite"),
        (lambda: spectra.radial_power(torch.full((1, 1, 4, 4), math.inf)), "finite numbers, got 16 of 16"),
        (lambda: spectra.mean_power(noise(1, 1, 8, 8) * 1e200), "numbers whose squares are finite"),
        (lambda: spectra.interior(torch.zeros(1, 1, 8, 8), 0), "period: expected an integer from 1"),
        (lambda: spectra.interior(torch.zeros(1, 1, 8, 8), 2, -1), "margin: expected an integer from 0"),
        (
            lambda: spectra.interior(torch.zeros(1, 1, 8, 9), 4, 3),
            r"sides from 11 for period 4, margin 3, got \(8, 9",
        ),
        (lambda: spectra.interior(torch.full((1, 1, 8, 8), math.nan), 2), "64 of 64 not finite"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
