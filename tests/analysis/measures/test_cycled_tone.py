"""The tone on photographs: known answers of networks whose grid is known."""

import math

import pytest
import torch
from torch.nn import functional as F

from checkerscope.analysis.measures import cycled_tone as measure
from checkerscope.analysis.measures.tone import unbiased_tone
from checkerscope.analysis.trial import Trial
from checkerscope.toolkit.images import photos


def board(shape, amplitude=1.0):
    axes = torch.meshgrid(*(torch.arange(n) for n in shape), indexing="ij")
    return amplitude * (1 - 2 * (sum(axes) % 2)).double()


def enlarged(x, scale=4, mode="bilinear"):
    return F.interpolate(F.avg_pool2d(x, scale), scale_factor=scale, mode=mode)


@pytest.mark.parametrize(
    ("shape", "period", "margin"), [((64, 64), 4, 16), ((33, 47), 2, 3), ((50,), 4, 2), ((16, 17, 18), 2, 0)]
)
def test_a_grid_is_recovered_whatever_the_content(shape, period, margin):
    images = torch.rand(3, 2, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def network(x):
        return x + board(x.shape[2:], 0.01)

    assert measure.cycled_tone(network, images, period, margin=margin) == pytest.approx(0.01, rel=1e-9)


def test_each_phase_stands_at_its_place():
    def network(x):
        y = x.clone()
        y[..., 1::4, 2::4] += 0.16
        return y

    means = measure.cycled_residual(network, torch.rand(2, 1, 40, 44, dtype=torch.float64), 4, margin=4)
    expected = torch.zeros(4, 4, dtype=torch.float64)
    expected[1, 2] = 0.16
    torch.testing.assert_close(means, expected.expand(2, 1, 4, 4))


def test_what_moves_with_its_input_reads_nothing():
    def network(x):
        return F.avg_pool2d(F.pad(x, (1, 1, 1, 1)), 3, stride=1) ** 2

    assert measure.cycled_tone(network, photos.load("test", 64, images=4).double(), 4, margin=4) < 1e-14


def test_content_cancels_that_products_of_different_patches_leave():
    """Patches of one photograph overlap: their content is not independent."""
    x = photos.load("test", 64, images=32).double()
    inside = enlarged(x)[..., 16:-16, 16:-16] - x[..., 16:-16, 16:-16]
    assert measure.cycled_tone(enlarged, x, 4, margin=16) < 1.5e-4
    assert unbiased_tone(inside, 4) > 4e-4


def test_nearest_makes_a_staircase_of_a_slope():
    """Two pixels of a cell get the mean of a slope g: they are off by g / 2, up and down."""
    ramp = 0.02 * torch.arange(32, dtype=torch.float64).expand(1, 1, 32, 32)
    found = measure.cycled_tone(lambda x: enlarged(x, 2, "nearest"), ramp, 2, margin=4)
    assert found == pytest.approx(0.01, rel=1e-9)
    assert measure.cycled_tone(lambda x: enlarged(x, 2), ramp, 2, margin=4) < 1e-14


def test_the_border_does_not_count():
    def network(x):
        y = x.clone()
        y[..., :8, ::2] += 1
        y[..., -8:, ::2] += 1
        return y

    images = torch.rand(1, 1, 40, 40, dtype=torch.float64)
    assert measure.cycled_tone(network, images, 4, margin=8) == pytest.approx(0, abs=1e-15)
    assert measure.cycled_tone(network, images, 4, margin=4) > 0.01


def test_small_images_and_other_targets_are_undefined():
    x = torch.rand(2, 1, 40, 40)
    for trial in (Trial(torch.nn.Identity(), x, x, 2, 4, 18), Trial(torch.nn.Identity(), x, x, 2, 4, 8, shown=x + 1)):
        assert all(math.isnan(value) for value in measure.measure(trial).values())


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"images: expected sides from 52, got \(51, 64\)"):
        measure.cycled_tone(torch.nn.Identity(), torch.zeros(1, 1, 51, 64), 4, margin=18)
    with pytest.raises(ValueError, match="residual: expected finite numbers"):
        measure.cycled_tone(lambda x: x * math.inf, torch.ones(1, 1, 16, 16), 2)
