"""What the layers with equal phase gains promise: at the start, during training, on ramps and at the border."""

import pytest
import torch

from checkerscope.toolkit.contracts.initializer import initialize
from tests.builders import build, close, noise

#: Layers whose phase gains are equal whatever is learned.
CLEAN = [
    ("hold_conv", {}),
    ("smooth_conv", {"order": 1}),
    ("smooth_conv", {"order": 2}),
    ("transposed_conv_fir", {}),
    ("nearest_conv", {}),
    ("bilinear_conv", {}),
    ("pixel_shuffle_blur", {}),
    ("equal_gain_transposed_conv", {}),
    ("equal_gain_transposed_conv", {"order": 1}),
    ("equal_gain_pixel_shuffle", {}),
    ("equal_gain_pixel_shuffle", {"order": 1}),
]


def gain_spread(upsampler, side=None):
    """Return the largest difference between phase gains, over all channel pairs, relative to the largest gain."""
    s, dims, channels = upsampler.scale, upsampler.spatial_dims, upsampler.in_channels
    side = side or 11
    with torch.no_grad():
        zero = upsampler(torch.zeros(1, channels, *(side,) * dims, dtype=torch.float64))
        units = torch.eye(channels, dtype=torch.float64).reshape(channels, channels, *(1,) * dims)
        y = upsampler(units.expand(channels, channels, *(side,) * dims)) - zero
    middle = slice(side // 2 * s, side // 2 * s + s)
    block = y[(..., *(middle,) * dims)].flatten(2)
    return float((block.amax(2) - block.amin(2)).max() / block.abs().max())


@pytest.mark.parametrize("name", ["equal_gain_transposed_conv", "equal_gain_pixel_shuffle"])
@pytest.mark.parametrize("scale", [2, 3])
def test_equal_gain_with_replicate_border_leaves_constants_flat_up_to_the_border(name, scale):
    x = torch.full((1, 3, 4, 5), 0.7, dtype=torch.float64)
    flat = build(name, 3, 2, scale=scale, border="replicate")(x)
    close(flat, flat[..., :1, :1].expand_as(flat))
    grid = build(name, 3, 2, scale=scale)(x)
    assert grid[..., 0, :].std() > 1e-3


@pytest.mark.parametrize(("name", "options"), CLEAN, ids=str)
@pytest.mark.parametrize("scale", range(2, 9))
def test_phase_gains_are_equal(name, options, scale):
    assert gain_spread(build(name, 3, 2, scale=scale, **options), side=9) < 1e-12


def train(upsampler, steps):
    """Fit random targets, so that every parameter moves, by plain gradient descent with momentum."""
    dims, scale = upsampler.spatial_dims, upsampler.scale
    x = noise(1, upsampler.in_channels, *(5,) * dims)
    target = noise(1, upsampler.out_channels, *(5 * scale,) * dims, seed=2)
    before = [parameter.detach().clone() for parameter in upsampler.parameters()]
    optimizer = torch.optim.SGD(upsampler.parameters(), lr=0.05, momentum=0.9)
    for _ in range(steps):
        optimizer.zero_grad()
        (upsampler(x) - target).square().mean().backward()
        optimizer.step()
    assert all((now - then).abs().max() > 1e-3 for now, then in zip(upsampler.parameters(), before, strict=True))


TRAINED = [case for case in CLEAN if case[0] in ("hold_conv", "smooth_conv") or case[0].startswith("equal_gain")]


@pytest.mark.parametrize("scale", range(2, 9))
@pytest.mark.parametrize(("name", "options"), TRAINED, ids=str)
def test_phase_gains_stay_equal_after_two_hundred_training_steps(name, options, scale):
    upsampler = build(name, 1, 1, scale=scale, spatial_dims=1, **options)
    train(upsampler, 200)
    assert gain_spread(upsampler) < 1e-12


@pytest.mark.parametrize(("name", "options"), CLEAN, ids=str)
def test_phase_gains_of_images_stay_equal_during_training(name, options):
    upsampler = build(name, 2, 1, **options)
    train(upsampler, 50)
    assert gain_spread(upsampler) < 1e-12


@pytest.mark.parametrize("name", ["transposed_conv", "pixel_shuffle", "large_kernel_transposed_conv"])
def test_phase_gains_of_free_layers_differ(name):
    assert gain_spread(build(name, 3, 2)) > 0.1


@pytest.mark.parametrize("dims", [1, 3])
@pytest.mark.parametrize(("name", "options"), CLEAN, ids=str)
def test_phase_gains_are_equal_on_other_numbers_of_axes(name, options, dims):
    assert gain_spread(build(name, 3, 2, spatial_dims=dims, scale=2, **options), side=7) < 1e-12


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize(("name", "order"), [("equal_gain_transposed_conv", 0), ("equal_gain_transposed_conv", 1),
                                             ("equal_gain_pixel_shuffle", 0), ("equal_gain_pixel_shuffle", 1),
                                             ("smooth_conv", 1), ("smooth_conv", 2)])  # fmt: skip
def test_order_is_the_degree_of_the_polynomials_without_tone(name, order, scale):
    """Zeros of multiplicity d + 1: a ramp of degree d comes out as a polynomial; one of degree d + 1 does not."""
    upsampler = build(name, 1, 1, scale=scale, spatial_dims=1, order=order)
    n = torch.linspace(-1, 1, 24, dtype=torch.float64)
    inside = slice(6 * scale, -6 * scale)
    for degree in range(order + 2):
        y = upsampler((n**degree)[None, None])[0, 0, inside]
        remainder = y.diff(n=degree + 1).abs().max()
        assert (remainder < 1e-12) == (degree <= order)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("scale", [2, 3])
def test_tone_of_zero_insertion_is_one_minus_the_inverse_of_the_block(dims, scale):
    y = build("zero_insertion", 1, 1, scale=scale, spatial_dims=dims)(torch.ones(1, 1, *(4,) * dims).double())
    assert 1 - y.mean() ** 2 / y.square().mean() == pytest.approx(1 - 1 / scale**dims, abs=1e-12)


@pytest.mark.parametrize("k", [2, 3, 4, 5, 6])
def test_tone_of_random_transposed_kernels_does_not_depend_on_their_size(k):
    """Expected energy at the alias frequencies: 1 - 1 / s^2, divisible or not. 20,000 channel pairs."""
    weight = torch.randn(100, 200, k, k, generator=torch.Generator().manual_seed(k))
    gains = torch.stack([weight[..., p::2, q::2].sum((2, 3)) for p in range(2) for q in range(2)])
    tone = (gains - gains.mean(0)).square().sum() / gains.square().sum()
    assert tone == pytest.approx(0.75, abs=0.01)


@pytest.mark.parametrize("name", ["default", "icnr"])
def test_initialization_reaches_the_free_kernel_of_an_equal_gain_layer(name):
    layer = build("equal_gain_pixel_shuffle", 3, 2)
    before = layer.effective_weight().detach().clone()
    initialize(layer, name, generator=torch.Generator().manual_seed(3))
    assert (layer.effective_weight() - before).abs().max() > 1e-3
    assert gain_spread(layer) < 1e-12
