import math

import pytest
import torch

from checkerscope.analysis.audit import grids
from checkerscope.analysis.measures.tone import tone, tone_fraction, unbiased_tone
from checkerscope.analysis.phases import phase_means
from checkerscope.toolkit import catalog
from checkerscope.toolkit.images import photos
from tests.builders import noise


def board(n, amplitude=1.0):
    return amplitude * torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64).repeat(n // 2, n // 2)


@pytest.mark.parametrize("shape", [(9,), (8, 12), (5, 7), (4, 6, 8)])
@pytest.mark.parametrize("period", [1, 2, 3])
def test_phase_means_are_strided_means(shape, period):
    images = noise(2, 3, *shape)
    found = phase_means(images, period)
    cropped = images[(..., *(slice(n // period * period) for n in shape))]
    for phase in torch.cartesian_prod(*[torch.arange(period)] * len(shape)).reshape(-1, len(shape)).tolist():
        strided = cropped[(..., *(slice(p, None, period) for p in phase))]
        expected = strided.mean(tuple(range(2, 2 + len(shape))))
        torch.testing.assert_close(found[(..., *phase)], expected)


@pytest.mark.parametrize("amplitude", [1e-4, 0.1, -0.5])
@pytest.mark.parametrize("period", [2, 4])
def test_an_injected_board_is_recovered(amplitude, period):
    images = 0.3 + board(16, amplitude).expand(2, 3, 16, 16)
    assert tone(images, period) == pytest.approx(abs(amplitude), rel=1e-9)


def test_noise_leaves_its_standard_error_and_the_unbiased_tone_does_not():
    images = noise(100, 1, 32, 32)
    # 256 cells of 100 images per phase; one of four degrees of freedom is the mean
    assert tone(images, 2) == pytest.approx(math.sqrt(0.75 / 25600), rel=0.7)
    dirty = images + board(32, 0.03)
    assert unbiased_tone(dirty, 2) == pytest.approx(0.03, rel=0.3)
    trials = [unbiased_tone(noise(10, 1, 16, 16, seed=s), 2) ** 2 for s in range(200)]
    assert sum(t == 0 for t in trials) > 60


def test_the_unbiased_power_has_the_right_expectation():
    """Mean over many draws of all pairs' products, at a tone far below the noise of one draw."""
    powers = []
    for seed in range(400):
        means = phase_means(noise(4, 1, 8, 8, seed=seed) + board(8, 0.1), 2).flatten(2)
        ac = means - means.mean(-1, keepdim=True)
        powers.append(float((ac.sum(0).square() - ac.square().sum(0)).mean() / 12))
    assert sum(powers) / len(powers) == pytest.approx(0.01, rel=0.1)


def test_one_image_has_no_pair():
    assert math.isnan(unbiased_tone(board(8)[None, None], 2))


def test_tone_of_photographs_is_recovered_without_bias():
    images = photos.load("test", 64, images=64).double()
    assert unbiased_tone(images + board(64, 0.01), 2) == pytest.approx(0.01, rel=0.1)


@pytest.mark.parametrize(("period", "dims", "expected"), [(2, 1, 0.5), (2, 2, 0.75), (3, 2, 8 / 9), (4, 2, 15 / 16)])
def test_zero_insertion_has_the_fraction_of_theory(period, dims, expected):
    image = torch.zeros(1, 1, *(4 * period,) * dims)
    image[(..., *(slice(None, None, period),) * dims)] = 1
    assert tone_fraction(image, period) == pytest.approx(expected, rel=1e-12)


def test_constants_have_no_tone_and_zero_no_fraction():
    assert tone(torch.full((2, 1, 8, 8), 0.7), 2) == pytest.approx(0, abs=1e-15)
    assert tone_fraction(torch.zeros(2, 1, 8, 8), 2) == 0.0


@pytest.mark.parametrize("name", ["transposed_conv", "pixel_shuffle"])
@pytest.mark.parametrize(("scale", "kernel_size"), [(2, 3), (2, 4), (3, 5), (4, 4), (4, 9)])
def test_iid_weights_have_one_minus_one_over_s_squared_whatever_the_kernel(name, scale, kernel_size):
    """PRIOR: E[AC share] = 1 - 1 / s^2 for iid weights of zero mean on constant input."""
    generator = torch.Generator().manual_seed(scale * 100 + kernel_size)
    # every output channel is a draw of its own
    size = kernel_size if name == "transposed_conv" else 3
    layer = catalog.load("checkerscope.toolkit.upsamplers", name)(1, 12000, scale=scale, kernel_size=size)
    with torch.no_grad():
        for kernel in layer.kernels():
            kernel.weight.normal_(generator=generator)
            if kernel.bias is not None:
                kernel.bias.zero_()
        output = layer(torch.ones(1, 1, 7, 7))
    inside = output[..., 3 * scale : 4 * scale, 3 * scale : 4 * scale]
    assert tone_fraction(inside, scale) == pytest.approx(1 - 1 / scale**2, rel=0.01)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="not finite"):
        tone(torch.full((1, 1, 4, 4), math.inf), 2)
    with pytest.raises(ValueError, match="sides from 4"):
        tone(torch.zeros(1, 1, 3, 8), 4)


@pytest.mark.parametrize(("period", "shape"), [((2, 2), (32, 32)), ((3, 4), (24, 48)), ((8,), (128,))])
def test_both_estimators_read_the_same_grid_on_a_map_that_repeats(period, shape):
    """docs/measures.md says why there are two: this measure, and the audit's for a single map."""
    cell = torch.rand(3, *period, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x = 0.5 + 0.1 * cell.repeat(1, *(side // p for side, p in zip(shape, period, strict=True)))[None]
    assert grids.tone_power(grids.centre(x, period), period) ** 0.5 == pytest.approx(tone(x, period), rel=1e-9)


def test_a_slope_is_a_grid_to_plain_means_and_next_to_none_to_windowed_ones():
    slope = torch.arange(64.0, dtype=torch.float64).reshape(1, 1, 64)
    assert tone(slope, 2) == pytest.approx(0.5)
    assert grids.tone_power(slope, (2,)) ** 0.5 < 1e-3
