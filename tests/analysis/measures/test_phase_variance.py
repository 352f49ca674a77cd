import math

import pytest
import torch
from torch.nn import functional as F

from checkerscope.analysis.measures.phase_variance import (
    measure,
    phase_variance,
    phase_variances,
    unbiased_phase_variance,
)
from checkerscope.analysis.trial import Trial
from checkerscope.toolkit.upsamplers.nearest import Nearest
from tests.builders import noise


class Bare(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.upsamplers = [Nearest(1, 1)]


def ones_kernel(images, kernel_size):
    kernel = torch.ones(1, 1, kernel_size, kernel_size, dtype=torch.float64)
    return F.conv_transpose2d(images, kernel, stride=2)[..., 4:-4, 4:-4]


#: Phase variances of kernels of ones at stride 2 on white noise, relative to the smallest.
RATIOS = [(3, [4, 2, 2, 1]), (5, [2.25, 1.5, 1.5, 1]), (4, [1, 1, 1, 1]), (2, [1, 1, 1, 1])]


@pytest.mark.parametrize(("kernel_size", "ratios"), RATIOS)
def test_overlap_becomes_variance(kernel_size, ratios):
    images = ones_kernel(noise(400, 1, 40, 40), kernel_size)
    v = phase_variances(images, 2).mean((0, 1)).flatten()
    assert sorted((v / v.min()).tolist(), reverse=True) == pytest.approx(ratios, rel=0.05)
    r = torch.tensor(ratios, dtype=torch.float64)
    share = 1 - r.mean().square() / r.square().mean()
    assert phase_variance(images, 2) == pytest.approx(float(share), abs=0.005)
    assert unbiased_phase_variance(images, 2) == pytest.approx(float(share), abs=0.005)


@pytest.mark.parametrize("shape", [(64,), (32, 32), (12, 12, 12)])
def test_white_noise_reads_its_floor_and_the_unbiased_value_zero(shape):
    images, dims = noise(50, 1, *shape), len(shape)
    pixels = images.numel() / 2**dims
    floor = 2 / pixels * (1 - 1 / 2**dims)
    assert phase_variance(images, 2) < 6 * floor
    values = [unbiased_phase_variance(noise(10, 1, *(8,) * dims, seed=s), 2) for s in range(100)]
    mean = sum(values) / len(values)
    spread = (sum((v - mean) ** 2 for v in values) / 99) ** 0.5
    assert abs(mean) < 3 * spread / 10


def test_a_fixed_grid_does_not_count():
    board = torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64).repeat(16, 16)
    images = noise(20, 2, 32, 32)
    assert phase_variance(images + 5 * board, 2) == pytest.approx(phase_variance(images, 2), rel=1e-9)


def test_the_rounding_of_a_fixed_grid_does_not_count():
    generator = torch.Generator().manual_seed(0)
    target, board = torch.rand(4, 1, 16, 16, generator=generator), torch.tensor([[0.01, -0.01], [-0.01, 0.01]])
    found = measure(Trial(Bare(), target, target + board.repeat(8, 8), 2, 2, 0))
    assert found["phase_variance.residual"] == found["phase_variance.residual_unbiased"] == 0


def test_bilinear_by_three_is_convex_but_uneven():
    """Convex does not imply equal variance: .31 : .55 : 1 in one dimension (0.556^2, ...)."""
    images = F.interpolate(noise(300, 1, 100), scale_factor=3, mode="linear")[..., 6:-6]
    v = phase_variances(images, 3).mean((0, 1))
    assert sorted((v / v.max()).tolist()) == pytest.approx([5 / 9, 5 / 9, 1], rel=0.05)


def test_constants_read_zero_and_one_image_has_no_pair():
    assert phase_variance(torch.full((2, 1, 8, 8), 0.5), 2) == 0.0
    assert math.isnan(unbiased_phase_variance(noise(1, 1, 8, 8), 2))


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="not finite"):
        phase_variance(torch.full((1, 1, 8, 8), math.nan), 2)
