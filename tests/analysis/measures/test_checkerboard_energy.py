import math

import pytest
import torch

from checkerscope.analysis import spectra
from checkerscope.analysis.measures.checkerboard_energy import checkerboard_energy, checkerboard_power, mean_variance
from checkerscope.toolkit.images import photos
from tests.builders import noise


def grid(shape, period, kind="diagonal"):
    """A grid of mean square one."""
    axes = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in shape), indexing="ij")
    position = sum(axes) if kind == "diagonal" else axes[-1]
    wave = torch.cos(2 * math.pi * position / period + (0 if period == 2 else 0.4))
    return wave / wave.square().mean().sqrt()


@pytest.mark.parametrize("shape", [(16,), (64,), (16, 16), (17, 33), (64, 24), (16, 17, 20)])
@pytest.mark.parametrize("period", [2, 3, 4])
def test_a_pure_grid_reads_one(shape, period):
    images = grid(shape, period).expand(2, 3, *shape)
    cropped = spectra.interior(images, period)
    assert checkerboard_energy(cropped, period) == pytest.approx(1, abs=1e-9)
    assert checkerboard_power(0.1 * images, period) == pytest.approx(0.01 * mean_variance(cropped), rel=1e-9)


def test_zero_insertion_reads_its_line_power():
    """Values at one phase of four, zero elsewhere: the variance of the grid is all there is."""
    image = torch.zeros(1, 1, 32, 32)
    image[..., ::2, ::2] = 0.8
    assert checkerboard_energy(image, 2) == pytest.approx(1, abs=1e-9)
    # mean square 0.8^2 / 4 minus squared mean (0.8 / 4)^2
    assert checkerboard_power(image, 2) == pytest.approx(0.16 - 0.04, rel=1e-6)


def test_white_noise_reads_nothing():
    images = noise(64, 1, 64, 64)
    # 64 images share the lines' power: 3 lines of 1 / (64 * 4096) each, with an expectation of zero
    assert abs(checkerboard_energy(images, 2)) < 3e-5


def test_a_grid_that_changes_sign_from_image_to_image_averages_out():
    signs = torch.tensor([1.0, -1.0] * 8).reshape(16, 1, 1, 1)
    assert checkerboard_energy(signs * grid((32, 32), 2), 2) == pytest.approx(0, abs=1e-9)


def test_a_constant_image_reads_zero_and_so_does_period_one():
    assert checkerboard_energy(torch.full((3, 1, 16, 16), 0.1), 2) == 0.0
    assert checkerboard_energy(noise(3, 1, 16, 16), 1) == 0.0


@pytest.fixture(scope="module")
def photographs():
    return photos.load("test", 64, images=64).double()


@pytest.mark.parametrize(("kind", "period"), [("diagonal", 2), ("stripes", 2), ("diagonal", 4), ("stripes", 4)])
@pytest.mark.parametrize("decibel", [-20, -40, -60])
def test_an_injected_grid_is_recovered_exactly_when_paired(photographs, kind, period, decibel):
    power = 10 ** (decibel / 10) * mean_variance(photographs)
    dirty = photographs + math.sqrt(power) * grid((64, 64), period, kind)
    assert checkerboard_power(dirty - photographs, period) == pytest.approx(power, rel=1e-6)


@pytest.mark.parametrize(
    ("kind", "period", "decibel"),
    [("diagonal", 2, -20), ("stripes", 2, -20), ("diagonal", 4, -20), ("stripes", 4, -20), ("diagonal", 2, -30)],
)
def test_an_injected_grid_is_recovered_within_five_per_cent_from_64_photographs(photographs, kind, period, decibel):
    power = 10 ** (decibel / 10) * mean_variance(photographs)
    dirty = photographs + math.sqrt(power) * grid((64, 64), period, kind)
    assert checkerboard_power(dirty, period) == pytest.approx(power, rel=0.05)


def test_untouched_photographs_read_below_minus_55_decibel(photographs):
    assert abs(checkerboard_energy(photographs, 2)) < 10**-5.5


def test_untouched_photographs_read_higher_at_longer_periods(photographs):
    """Where the lattice reaches low frequencies, content is stronger: documented, not hidden."""
    assert abs(checkerboard_energy(photographs, 4)) < 10**-4.5
    assert abs(checkerboard_energy(photographs, 8)) < 10**-4.0


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.full((1, 1, 16, 16), math.nan), "not finite"),
        (torch.zeros(16, 16), "n, c"),
        (torch.zeros(1, 1, 6, 16), "from 8"),
        (torch.zeros(1, 1, 1, 16), "sides from 2"),
    ],
)
def test_bad_input_is_refused(images, message):
    with pytest.raises(ValueError, match=message):
        checkerboard_energy(images, 2)
