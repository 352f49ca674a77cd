import math

import pytest
import torch
from torch import nn

from checkerscope.analysis.measures.border import border, measure
from checkerscope.analysis.trial import Trial


def test_band_and_interior_are_told_apart():
    x = torch.zeros(2, 3, 10, 8)
    x[..., :2, :] = x[..., -2:, :] = x[..., :2] = x[..., -2:] = 0.3
    assert border(x, 2) == pytest.approx((0.3, 0.0))


def test_white_noise_has_no_border():
    x = torch.randn(200, 1, 20, 20, generator=torch.Generator().manual_seed(0))
    band, inside = border(x, 3)
    assert band / inside == pytest.approx(1, abs=0.02)


class Padded(nn.Module):
    """A zero-padded mean filter on images: wrong at the border only."""

    def forward(self, x):
        return nn.functional.avg_pool2d(x, 3, 1, 1)


def test_a_flat_image_shows_the_padding():
    target = torch.full((1, 1, 32, 32), 0.5)
    model = Padded()
    found = measure(Trial(model, target, model(target), 2, 4, 4))
    # one pixel of four in the band loses a third, the corners 5/9
    assert found["border.interior_rms"] == pytest.approx(0, abs=1e-7)
    assert found["border.band_rms"] > 0.05
    assert found["border.flat_rms"] > 0.05
    assert math.isnan(found["border.ratio"]) or found["border.ratio"] > 1e5


def test_without_a_margin_there_is_no_band():
    target = torch.full((1, 1, 32, 32), 0.5)
    assert all(math.isnan(v) for v in measure(Trial(nn.Identity(), target, target, 2, 4, 0)).values())


@pytest.mark.parametrize(
    ("residual", "width", "message"),
    [
        (torch.zeros(1, 1, 8, 8), 0, "width: expected an integer from 1"),
        (torch.zeros(1, 1, 8, 8), 4, "sides above 8 for a band of 4"),
        (torch.full((1, 1, 8, 8), math.nan), 1, "residual: expected finite"),
    ],
)
def test_bad_input_is_refused(residual, width, message):
    with pytest.raises(ValueError, match=message):
        border(residual, width)
