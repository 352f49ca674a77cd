"""The published measures behave as published: their known numbers, and their known defects."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from checkerscope.analysis.measures.published.durall_radial_profile import durall_radial_profile
from checkerscope.analysis.measures.published.dzanic_tail import dzanic_tail
from checkerscope.analysis.measures.published.frank_dct import frank_dct
from checkerscope.analysis.measures.published.npr import npr, npr_energy
from checkerscope.analysis.measures.published.schwarz_spectrum import schwarz_spectrum
from checkerscope.analysis.measures.published.stylegan3_spectrum import slices, stylegan3_spectrum
from checkerscope.analysis.trial import Trial
from checkerscope.toolkit import catalog
from checkerscope.toolkit.images import photos
from tests.builders import noise

PACKAGE = "checkerscope.analysis.measures.published"
NAMES = catalog.names(PACKAGE)


def board(n):
    return torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64).repeat(n // 2, n // 2)


@pytest.fixture(scope="module")
def photographs():
    return photos.load("test", 64, images=20).double()


@pytest.mark.parametrize("name", NAMES)
def test_it_declares_what_it_returns(name, photographs):
    module = catalog.load(PACKAGE, name)
    blurred = F.avg_pool2d(photographs, 3, 1, 1)
    found = module.measure(Trial(torch.nn.Identity(), photographs, blurred, 2, 4, 8))
    assert callable(getattr(module, name))
    assert module.LABEL
    assert module.SOURCE
    assert found.keys() == module.UNITS.keys()
    for value in found.values():
        assert np.isfinite(value).all()
    for word in ("Responds to:", "Noise floor:", "Ground truth:", "kept:"):
        assert word in module.__doc__


@pytest.mark.parametrize("name", NAMES)
def test_bad_input_is_refused(name):
    function = getattr(catalog.load(PACKAGE, name), name)
    with pytest.raises(ValueError, match="not finite"):
        function(torch.full((2, 1, 16, 16), math.nan))
    with pytest.raises(ValueError, match="shape"):
        function(torch.zeros(16, 16))


# Durall


def azimuthal_average(image):
    """The definition, ring by ring."""
    n = len(image)
    y, x = np.indices(image.shape)
    ring = np.hypot(x - (n - 1) / 2, y - (n - 1) / 2).astype(int)
    return np.array([image[ring == r].mean() for r in range(1, ring.max())])


@pytest.mark.parametrize("n", [31, 32, 128])
def test_durall_is_the_definition(n):
    image = noise(1, 1, n, n).abs()
    log = 20 * np.log(np.abs(np.fft.fftshift(np.fft.fft2(image[0, 0].numpy())) + 1e-8))
    profile = azimuthal_average(log)
    expected = (profile - profile.min()) / (profile.max() - profile.min())
    np.testing.assert_allclose(durall_radial_profile(image)[0].numpy(), expected, atol=1e-9)


def test_durall_has_88_bins_at_128():
    assert durall_radial_profile(torch.rand(1, 3, 128, 128)).shape == (1, 88)


@pytest.mark.parametrize("amplitude", [0.001, 0.2, 1.0])
@pytest.mark.parametrize("n", [64, 128])
def test_durall_cannot_see_a_checkerboard(amplitude, n):
    images = torch.rand(4, 3, n, n, generator=torch.Generator().manual_seed(0)).double()
    difference = durall_radial_profile(images + amplitude * board(n)) - durall_radial_profile(images)
    assert difference.abs().max() < 1e-9


def test_durall_hardly_sees_stripes(photographs):
    stripes = 1.0 * (-1.0) ** torch.arange(64)
    before, after = (durall_radial_profile(x) for x in (photographs, photographs + stripes))
    change = (after - before).abs().mean()
    assert 0 < change < 0.5 * before.std(0).mean()


def test_durall_of_a_constant_is_undefined():
    assert durall_radial_profile(torch.full((1, 1, 32, 32), 0.5)).isnan().all()


# Frank


def test_frank_falls_with_the_number_of_images():
    """ln(1 / sqrt n) + E ln |N(0, 1)|, which is -0.635."""
    for n in (100, 1000, 4000):
        assert frank_dct(noise(n, 1, 16, 16)).mean().item() == pytest.approx(-0.635 - 0.5 * math.log(n), abs=0.15)


def test_frank_shows_what_is_phase_locked(photographs):
    change = frank_dct(photographs + 0.05 * board(64)) - frank_dct(photographs)
    assert change[0, -1, -1] > 2
    signs = noise(20, 1, 1, 1).sign()
    signs[:10], signs[10:] = 1, -1
    hidden = frank_dct(photographs + 0.05 * signs * board(64)) - frank_dct(photographs)
    assert hidden[0, -1, -1].abs() < 1e-6


# Schwarz


def test_schwarz_has_46_bins_at_64_and_the_board_in_the_last_at_full_energy():
    images = 0.5 + 0.5 * board(64)[None, None]
    spectrum = schwarz_spectrum(images)
    assert spectrum.shape == (1, 46)
    assert spectrum[0, 45].item() == pytest.approx(64.0**4)
    assert spectrum[0, :45].max() < 1e-9 * 64.0**4


def test_schwarz_of_white_noise_is_flat():
    spectrum = schwarz_spectrum(0.5 + 0.1 * noise(100, 3, 32, 32)).mean(0)
    assert spectrum[1:].numpy() == pytest.approx(0.04 * 32 * 32, rel=0.2)


def test_schwarz_at_odd_sizes_duplicates_nothing():
    image = noise(1, 1, 31, 31)
    power = np.abs(np.fft.fftshift(np.fft.fft2(image[0, 0].numpy() * 2 - 1))) ** 2
    y, x = np.indices(power.shape) - 15
    ring = np.hypot(x, y).astype(int)
    expected = [power[ring == r].mean() for r in range(ring.max() + 1)]
    np.testing.assert_allclose(schwarz_spectrum(image)[0].numpy(), expected)


# StyleGAN3


def test_stylegan3_of_white_noise_is_one():
    spectrum = stylegan3_spectrum(noise(300, 1, 32, 32), 0.0, 1.0)
    assert spectrum.mean().item() == pytest.approx(1, abs=0.02)
    zero, diagonal = slices(spectrum)
    assert zero.shape == diagonal.shape == (65,)
    assert diagonal.numpy() == pytest.approx(1, abs=0.4)


def test_stylegan3_sees_the_board_at_the_end_of_the_diagonal_slice(photographs):
    before, after = (slices(stylegan3_spectrum(x, 0.5, 0.25)) for x in (photographs, photographs + 0.01 * board(64)))
    assert after[1][-1] / before[1][-1] > 10
    assert after[0][-1] / before[0][-1] == pytest.approx(1, abs=0.01)


def test_stylegan3_refuses_what_it_cannot_whiten():
    with pytest.raises(ValueError, match="std: expected a positive number"):
        stylegan3_spectrum(torch.full((1, 1, 16, 16), 0.5))


# NPR


#: Energy over variance for white noise enlarged by two.
NPR = [("nearest", 0.0), ("bilinear", 0.19), ("bicubic", 0.30)]


@pytest.mark.parametrize(("mode", "energy"), NPR)
def test_npr_of_enlarged_noise(mode, energy):
    images = F.interpolate(noise(50, 1, 64, 64), scale_factor=2, mode=mode)
    assert npr_energy(images) == pytest.approx(energy, abs=0.02)


def test_npr_of_white_noise_is_one_and_a_half():
    assert npr_energy(noise(50, 1, 64, 64)) == pytest.approx(1.5, abs=0.02)


def test_npr_refuses_odd_sizes_where_the_release_crashes():
    with pytest.raises(ValueError, match="even sides"):
        npr(torch.zeros(1, 1, 15, 16))


# Dzanic


def test_dzanic_of_white_noise_is_flat():
    exponents = dzanic_tail(0.5 + 0.1 * noise(20, 1, 128, 128))[:, 0]
    assert exponents.mean().item() == pytest.approx(0, abs=0.3)


@pytest.mark.parametrize("fit_from", [0.75, 0.85])
def test_dzanic_recovers_a_power_law(fit_from):
    n = 256
    f = torch.fft.fftfreq(n, dtype=torch.float64)
    radius = torch.hypot(f[:, None], f).clamp_min(1 / n)
    # magnitudes exactly r^-3: a random sign for each pair of frequencies
    phase = torch.fft.fft2(noise(1, 1, n, n))
    image = torch.fft.ifft2(phase / phase.abs() * radius**-3).real
    image = (image - image.min()) / (image.max() - image.min())
    exponent, first, last = dzanic_tail(image, fit_from=fit_from)[0].tolist()
    assert exponent == pytest.approx(-3, abs=0.15)
    assert first > last > 0


def test_dzanic_of_a_constant_has_no_exponent():
    assert dzanic_tail(torch.full((1, 1, 32, 32), 0.5))[0, 0] == 0


def test_dzanic_refuses_what_it_cannot_fit():
    with pytest.raises(ValueError, match="fit_from: expected a number"):
        dzanic_tail(torch.zeros(1, 1, 32, 32), fit_from=0.2)
    with pytest.raises(ValueError, match="sides from 16"):
        dzanic_tail(torch.zeros(1, 1, 8, 8))


@pytest.mark.parametrize("name", ["durall_radial_profile", "dzanic_tail", "schwarz_spectrum", "stylegan3_spectrum"])
def test_only_square_pictures_are_known(name):
    with pytest.raises(ValueError, match="square pictures"):
        getattr(catalog.load(PACKAGE, name), name)(torch.rand(1, 1, 16, 32))


@pytest.mark.parametrize("name", ["durall_radial_profile", "dzanic_tail"])
def test_only_grey_and_colour_are_known(name):
    with pytest.raises(ValueError, match="1 or 3"):
        getattr(catalog.load(PACKAGE, name), name)(torch.rand(1, 2, 16, 16))
