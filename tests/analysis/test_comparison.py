"""Before and after a cure, on models whose grid is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from checkerscope.analysis.comparison import SharedInputs, compare, removed


class Grid(nn.Module):
    """Adds `size` in a checkerboard."""

    def __init__(self, size: float) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, columns = (torch.arange(side) for side in x.shape[2:])
        return x + self.size * (1 - 2 * ((rows[:, None] + columns) % 2))


def images() -> torch.Tensor:
    return torch.rand(8, 1, 32, 32, generator=torch.Generator().manual_seed(0))


def test_a_grid_ten_times_weaker_has_lost_99_percent_of_its_power() -> None:
    x = images()
    found = compare(Grid(0.1), Grid(0.01), SharedInputs(x, x, period=2, margin=4), metric=lambda m: -m.size)
    assert found.before.flat_tone == pytest.approx(0.1, rel=1e-4)
    assert found.flat_removed == pytest.approx(0.99, rel=1e-4)
    assert found.image_removed == pytest.approx(0.99, rel=1e-4)
    assert found.before.psnr == pytest.approx(20, rel=1e-4)
    assert found.after.psnr == pytest.approx(40, rel=1e-4)
    assert (found.before.metric, found.after.metric) == (-0.1, -0.01)


def test_without_targets_quality_is_fidelity_to_the_original() -> None:
    found = compare(Grid(0.1), Grid(0.0), SharedInputs(images(), None, period=2, margin=4, flat_side=64))
    assert math.isinf(found.before.psnr)
    assert 10 < found.after.psnr < 25
    assert found.flat_removed == 1
    plain = found.to_dict()
    assert plain["before"]["psnr"] is None
    assert plain["before"]["metric"] is None


def test_what_had_no_tone_has_nothing_to_lose() -> None:
    assert math.isnan(removed(0.0, 0.0))
    assert removed(0.1, 0.2) == pytest.approx(-3)


def test_one_image_or_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="compare: inputs: expected an integer from 2, got 1"):
        compare(Grid(0.1), Grid(0.1), SharedInputs(images()[:1], None, 2, 4))
    with pytest.raises(ValueError, match="compare: cured output"):
        compare(Grid(0.1), nn.MaxPool2d(2), SharedInputs(images(), None, 2, 4))
