import math

import pytest
import torch
from torch.nn import functional as F

from checkerscope.analysis.measures.shift_equivariance import shift_equivariance
from checkerscope.toolkit.images import photos


@pytest.fixture(scope="module")
def photographs():
    return photos.load("test", 64, images=8)


def mean_filter(x):
    return F.avg_pool2d(x, 3, 1, 1)


def zero_insertion(x):
    out = torch.zeros_like(x)
    out[..., ::2, ::2] = x[..., ::2, ::2]
    return out


def test_a_convolution_is_equivariant_inside(photographs):
    whole, half = shift_equivariance(mean_filter, photographs, 4, margin=4)
    assert whole > 120
    assert half > 120


def test_padding_breaks_it_without_a_margin(photographs):
    assert shift_equivariance(mean_filter, photographs, 4)[0] < 60


@pytest.mark.parametrize(("kind", "error"), [("stripes", 2e-4), ("checkerboard", 4e-4)])
def test_a_fixed_tone_has_the_error_of_its_amplitude(kind, error):
    """A grid a (-1)^x or a (-1)^(x + y) stays in place: one or both of the two shifts by a pixel are off by 2 a."""
    columns = torch.arange(32)
    tone = 0.01 * (-1.0) ** (columns + (columns[:, None] if kind == "checkerboard" else 0 * columns[:, None]))
    whole, _ = shift_equivariance(lambda x: x + tone[: x.shape[-2], : x.shape[-1]], torch.rand(2, 1, 32, 32), 2)
    assert whole == pytest.approx(-10 * math.log10(error), abs=1e-3)


def test_replicas_show(photographs):
    whole, half = shift_equivariance(zero_insertion, photographs, 2, margin=4)
    assert whole < 15
    assert half < 15


@pytest.mark.parametrize(("period", "side"), [(1, 16), (2, 16), (3, 24), (4, 32), (8, 48)])
def test_every_period_aligns(period, side):
    images = torch.rand(1, 1, side, side, generator=torch.Generator().manual_seed(0))
    for value in shift_equivariance(lambda x: 2 * x, images, period):
        assert value > 120


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="images: expected sides from 25"):
        shift_equivariance(mean_filter, torch.zeros(1, 1, 24, 24), 4, margin=4)
    with pytest.raises(ValueError, match="not finite"):
        shift_equivariance(mean_filter, torch.full((1, 1, 32, 32), math.nan), 4)
