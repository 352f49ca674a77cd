"""Fixed upsamplers against torch, scipy, scikit-image and Pillow, naming the convention that each of them uses."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import linalg, ndimage, signal
from skimage import transform
from torch.nn import functional as F

from checkerscope.toolkit import filters
from checkerscope.toolkit.contracts.upsampler import Context
from tests.builders import build, noise

SIDES = (6, 5, 4)


def enlarged(name, x, scale, **options):
    """Return the numpy output of a fixed upsampler on one map without batch and channel axes."""
    return build(name, 1, 1, scale=scale, spatial_dims=x.dim(), **options)(x[None, None])[0, 0].numpy()


def interior(y, scale, margin):
    cut = scale * margin
    return y[tuple(slice(cut, -cut) for _ in range(y.ndim))]


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_nearest_repeats_values_as_numpy_kron(dims, scale):
    x = noise(*SIDES[:dims])
    np.testing.assert_array_equal(enlarged("nearest", x, scale), np.kron(x.numpy(), np.ones((scale,) * dims)))


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_bilinear_equals_scipy_zoom_with_pixels_as_areas(dims, scale):
    """scipy: grid_mode=True puts (j + 0.5) / s - 0.5, mode="nearest" clamps; its default grid_mode=False does not."""
    x = noise(*SIDES[:dims])
    expected = ndimage.zoom(x.numpy(), scale, order=1, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(enlarged("bilinear", x, scale), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bilinear_equals_scikit_image_resize(scale):
    """scikit-image: pixels as areas; mode="edge" clamps, its default mode="reflect" does not."""
    x = noise(*SIDES[:2])
    expected = transform.resize(x.numpy(), (6 * scale, 5 * scale), order=1, mode="edge", anti_aliasing=False)
    np.testing.assert_allclose(enlarged("bilinear", x, scale), expected, rtol=0, atol=1e-12)


def pillow(x, scale, resample):
    image = Image.fromarray(x.numpy().astype(np.float32))
    return np.asarray(image.resize((x.shape[1] * scale, x.shape[0] * scale), resample))


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize(
    ("name", "resample", "options", "margin"),
    [
        ("nearest", Image.Resampling.NEAREST, {}, 0),
        ("bilinear", Image.Resampling.BILINEAR, {}, 0),
        ("bicubic", Image.Resampling.BICUBIC, {"a": -0.5}, 2),
        ("lanczos", Image.Resampling.LANCZOS, {"lobes": 3}, 3),
    ],
)
def test_filters_equal_pillow(name, resample, options, margin, scale):
    """Pillow: pixels as areas, cubic with a = -0.5, every pixel's weights divided by their sum.

    At the border it drops the taps outside instead of clamping, the same for two taps only.
    """
    x = noise(12, 11)
    expected, got = pillow(x, scale, resample), enlarged(name, x, scale, **options)
    if margin:
        expected, got = interior(expected, scale, margin), interior(got, scale, margin)
    np.testing.assert_allclose(got, expected, rtol=0, atol=2e-6)  # Pillow has float32 images


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 5])
def test_bicubic_equals_torch_border_included(scale):
    """Torch: pixels as areas, a = -0.75, clamped; with antialias=True it has a = -0.5 and divides at the border."""
    x = noise(2, 3, 6, 5)
    got = build("bicubic", 3, 3, scale=scale)(x)
    torch.testing.assert_close(got, F.interpolate(x, scale_factor=scale, mode="bicubic"), rtol=0, atol=1e-12)


def test_bicubic_with_the_other_slope_equals_torch_with_antialias_inside():
    x = noise(9, 8)
    expected = F.interpolate(x[None, None], scale_factor=3, mode="bicubic", antialias=True)[0, 0].numpy()
    got = enlarged("bicubic", x, 3, a=-0.5)
    np.testing.assert_allclose(interior(got, 3, 2), interior(expected, 3, 2), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["bicubic", "lanczos", "kaiser_sinc", "bspline", "gaussian", "bilinear", "fft"])
def test_every_number_of_axes_is_the_same_filter(name):
    """A map that is constant along the other axes is enlarged as its profile is."""
    profile = noise(7)
    line = enlarged(name, profile, 2)
    plane = enlarged(name, profile[:, None].expand(7, 5), 2)
    volume = enlarged(name, profile[:, None, None].expand(7, 4, 3), 2)
    np.testing.assert_allclose(plane, np.repeat(line[:, None], 10, 1), rtol=0, atol=1e-12)
    np.testing.assert_allclose(volume[:, 3, 2], line, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("odd", [0, 1])
def test_fft_equals_scipy_resample(dims, scale, odd):
    """scipy: periodic, value 0 at sample 0 (not at the centre of an area), Nyquist split for even sides."""
    x = noise(*(side + odd for side in SIDES[:dims]))
    expected = x.numpy()
    for axis in range(dims):
        expected = signal.resample(expected, scale * x.shape[axis], axis=axis)
    np.testing.assert_allclose(enlarged("fft", x, scale), expected, rtol=0, atol=1e-12)


def test_fft_passes_through_every_input_value():
    x = noise(6, 5)
    np.testing.assert_allclose(enlarged("fft", x, 3)[::3, ::3], x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [2, 4])
def test_kaiser_sinc_equals_scipy_upfirdn_with_stylegan3_taps(scale):
    """scipy's upfirdn: zeros outside and the filter's start at sample 0, here moved to its centre."""
    x = noise(16)
    taps = signal.firwin(6 * scale, 0.5, width=2**0.3 - 1, fs=scale) * scale
    if scale > 2:
        taps = filters.with_equal_phases(torch.as_tensor(taps), scale).numpy()
    expected = signal.upfirdn(taps, x.numpy(), up=scale)[(6 * scale - scale) // 2 :][: 16 * scale]
    got = enlarged("kaiser_sinc", x, scale)
    np.testing.assert_allclose(interior(got, scale, 3), interior(expected, scale, 3), rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_bspline_equals_scipy_upfirdn_with_a_box_convolved(order, scale):
    x = noise(16)
    taps = np.ones(scale)
    for _ in range(order):
        taps = np.convolve(taps, np.ones(scale)) / scale
    start = -((scale - len(taps)) // 2)  # an odd order at an even scale has no centre: half a pixel early
    expected = signal.upfirdn(taps, x.numpy(), up=scale)[start:][: 16 * scale]
    got = enlarged("bspline", x, scale, order=order)
    np.testing.assert_allclose(interior(got, scale, 3), interior(expected, scale, 3), rtol=0, atol=1e-12)


def test_bspline_holds_the_nearest_neighbour_and_bilinear():
    x = noise(6, 5)
    for s in (2, 3, 5):
        np.testing.assert_allclose(enlarged("bspline", x, s, order=0), enlarged("nearest", x, s), rtol=0, atol=1e-12)
    np.testing.assert_allclose(enlarged("bspline", x, 2, order=2), enlarged("bilinear", x, 2), rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [2, 3])
@pytest.mark.parametrize("sigma", [0.5, 1.0])
def test_gaussian_is_kernel_regression(scale, sigma):
    x = noise(24)
    at = (np.arange(24 * scale) + 0.5) / scale - 0.5
    distance = at[:, None] - np.arange(24)
    weights = np.exp(-0.5 * (distance / sigma) ** 2) * (abs(distance) < 4 * sigma)
    expected = weights @ x.numpy() / weights.sum(1)
    got = enlarged("gaussian", x, scale, sigma=sigma)
    np.testing.assert_allclose(interior(got, scale, 5), interior(expected, scale, 5), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "name", ["bicubic", "lanczos", "kaiser_sinc", "bspline", "gaussian", "bilinear", "fft", "nearest"]
)
@pytest.mark.parametrize("scale", [2, 3, 5])
def test_constants_stay_constant_up_to_the_border(name, scale):
    x = torch.full((1, 1, 4, 5), 0.7, dtype=torch.float64)
    expected = torch.full((1, 1, 4 * scale, 5 * scale), 0.7, dtype=torch.float64)
    torch.testing.assert_close(build(name, 1, 1, scale=scale)(x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_zero_insertion_equals_scipy_upfirdn_with_one_tap(dims):
    x = noise(*SIDES[:dims])
    expected = x.numpy()
    for axis in range(dims):
        rows = signal.upfirdn([1.0], expected, up=3, axis=axis)
        expected = np.concatenate([rows, np.zeros_like(rows.take(range(2), axis))], axis)
    np.testing.assert_array_equal(enlarged("zero_insertion", x, 3), expected)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("scale", [2, 3])
def test_max_unpool_equals_torch(dims, scale):
    pool = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[dims]
    unpool = {1: F.max_unpool1d, 2: F.max_unpool2d, 3: F.max_unpool3d}[dims]
    features = noise(2, 3, *(scale * side for side in (4, 3, 2)[:dims]))
    low, indices = pool(features, scale, return_indices=True)
    got = build("max_unpool", 3, 3, scale=scale, spatial_dims=dims)(low, Context(indices, features))
    assert torch.equal(got, unpool(low, indices, scale))
    assert (got == 0).double().mean() == pytest.approx(1 - 1 / scale**dims)


def test_max_unpool_refuses_indices_that_do_not_fit():
    unpool = build("max_unpool", 2, 2)
    x = noise(1, 2, 3, 3)
    indices = torch.zeros(1, 2, 3, 3, dtype=torch.long)
    with pytest.raises(
        ValueError, match=r"max_unpool: context: expected the encoder's indices, got none; pass Context"
    ):
        unpool(x)
    with pytest.raises(ValueError, match=r"indices: expected shape \(1, 2, 3, 3\), got \(1, 3, 3, 3\); out_channels"):
        unpool(x, Context(torch.zeros(1, 3, 3, 3, dtype=torch.long)))
    with pytest.raises(ValueError, match=r"map before pooling: expected sides \(6, 6\), got \(7, 6\); crop"):
        unpool(x, Context(indices, noise(1, 2, 7, 6)))


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_haar_equals_scipy_hadamard(dims):
    """Band b and position p of a block meet with sign (-1)^(b . p), which is Hadamard's matrix in natural order."""
    haar = build("haar", 2**dims, 1, spatial_dims=dims)
    x = noise(1, 2**dims, *(1,) * dims)
    expected = linalg.hadamard(2**dims) @ x.flatten().numpy() / 2 ** (dims / 2)
    np.testing.assert_allclose(haar(x).flatten().numpy(), expected, rtol=0, atol=1e-12)


def test_haar_keeps_energy_and_separates_channels():
    haar = build("haar", 12, 3)
    x = noise(2, 12, 4, 5)
    y = haar(x)
    assert y.square().sum().item() == pytest.approx(x.square().sum().item(), abs=1e-10)
    x[:, 4:8] = 0
    assert torch.equal(haar(x)[:, 1], torch.zeros(2, 8, 10, dtype=torch.float64))
    x[:, 1:4] = 0  # without details the low-pass band is a nearest neighbour
    np.testing.assert_allclose(haar(x)[0, 0], enlarged("nearest", x[0, 0] / 2, 2), rtol=0, atol=1e-12)


@pytest.mark.parametrize("dims", [2, 3])
def test_bilinear_additive_adds_four_neighbouring_channels_of_the_enlarged_map(dims):
    x = noise(2, 8, *SIDES[:dims])
    mode = {2: "bilinear", 3: "trilinear"}[dims]
    large = F.interpolate(x, scale_factor=2, mode=mode)
    expected = torch.stack([large[:, 4 * c : 4 * c + 4].sum(1) for c in range(2)], 1)
    got = build("bilinear_additive", 8, 2, spatial_dims=dims)(x)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize(("padding", "twin", "gain"), [("corner", "fft", 1), ("periodic", "zero_insertion", 2)])
def test_deep_fourier_up_with_identity_convolutions_is_a_known_upsampler(dims, padding, twin, gain):
    up = build("deep_fourier_up", 2, 2, spatial_dims=dims, padding=padding)
    identity = torch.eye(2).reshape(2, 2, *(1,) * dims)
    with torch.no_grad():
        for kernel in up.kernels():
            kernel.weight.copy_(identity)
            kernel.bias.zero_()
        up.phase[0].bias.fill_(4)  # phases, from -pi, pass the leaky ReLU unchanged when shifted above zero
        up.phase[2].bias.fill_(-4)
    x = noise(1, 2, *SIDES[:dims])
    expected = gain**dims * build(twin, 2, 2, spatial_dims=dims)(x)
    torch.testing.assert_close(up(x), expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("haar", {"scale": 3}, "haar: scale: expected one of 2, got 3; the nearest scale that works is 2"),
        ("bilinear_additive", {"spatial_dims": 1}, "bilinear_additive: spatial_dims: expected one of 2, 3, got 1"),
        ("bilinear_additive", {"scale": 4}, "bilinear_additive: scale: expected one of 2, got 4"),
        ("lanczos", {"lobes": 0}, "lanczos: lobes: expected an integer from 1, got 0"),
        ("bspline", {"order": -1}, "bspline: order: expected an integer from 0, got -1"),
        ("gaussian", {"sigma": 0.1}, "gaussian: sigma: expected a number from 0.3, got 0.1; use 0.5"),
        ("gaussian", {"sigma": float("nan")}, "gaussian: sigma: expected a number from 0.3, got nan; use 0.5"),
        ("kaiser_sinc", {"taps_per_phase": 5}, "kaiser_sinc: taps_per_phase: expected an even integer, got 5; use 6"),
        ("kaiser_sinc", {"taps_per_phase": 0}, "kaiser_sinc: taps_per_phase: expected an integer from 2, got 0"),
        ("kaiser_sinc", {"cutoff": 0.6}, "kaiser_sinc: cutoff and half_width: expected frequencies above 0 and up to"),
        ("deep_fourier_up", {"padding": "area"}, "deep_fourier_up: padding: expected one of 'periodic', 'corner', got"),
        ("bicubic", {"scale": 0}, "bicubic: scale: expected an integer from 1, got 0"),
    ],
)
def test_wrong_options_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        build(name, 1, 1, **options)
