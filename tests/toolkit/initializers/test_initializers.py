"""Initializations: what the layer computes right after them, true fans, and every pair of the catalogue."""

from __future__ import annotations

import itertools
import re

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from checkerscope.toolkit import catalog
from checkerscope.toolkit.contracts.initializer import PACKAGE, initialize
from checkerscope.toolkit.contracts.upsampler import Kernel, Layout, Upsampler
from checkerscope.toolkit.response import phase_gains, phase_kernels, tone_fraction
from tests.builders import build, noise

UPSAMPLERS = {c.name: c for c in catalog.describe("checkerscope.toolkit.upsamplers")}
INITIALIZERS = {c.name: c for c in catalog.describe(PACKAGE)}


def start(upsampler: Upsampler, name: str, *, seed: int = 0, **options: object) -> Upsampler:
    initialize(upsampler, name, generator=torch.Generator().manual_seed(seed), options=options)
    return upsampler


def same_inside(one: Upsampler, other: Upsampler, margin: int = 4) -> None:
    x = noise(1, one.in_channels, *(2 * margin + 3,) * one.spatial_dims)
    y, z = one(x), other(x)
    for axis in range(2, y.dim()):
        y, z = (t.narrow(axis, margin * one.scale, 3 * one.scale) for t in (y, z))
    torch.testing.assert_close(y, z, rtol=0, atol=1e-12)


INTERPOLATIONS = {"nearest": 1, "bilinear": 2, "bicubic": 4}


@pytest.mark.parametrize(("name", "s", "d"), list(itertools.product(INTERPOLATIONS, (2, 3, 4), (1, 2))))
def test_transposed_convolution_starts_as_the_interpolation(name: str, s: int, d: int) -> None:
    least = INTERPOLATIONS[name] * s - (s % 2 if name != "nearest" else 0)
    for k in range(least, least + 4):
        layer = start(build("transposed_conv", scale=s, spatial_dims=d, kernel_size=k), name)
        same_inside(layer, build(name, scale=s, spatial_dims=d))
    if least > 1:
        short = build("transposed_conv", scale=s, spatial_dims=d, kernel_size=least - 1)
        with pytest.raises(
            ValueError, match=rf"{name} on transposed_conv: kernel: expected at least {least} taps at stride {s}"
        ):
            start(short, name)


@pytest.mark.parametrize(("name", "s", "d"), list(itertools.product(INTERPOLATIONS, (2, 3, 4), (1, 2))))
def test_sub_pixel_convolution_starts_as_the_interpolation(name: str, s: int, d: int) -> None:
    least = {"nearest": 1, "bilinear": 3, "bicubic": 5}[name]
    for k in (least, least + 2):
        layer = start(build("pixel_shuffle", scale=s, spatial_dims=d, kernel_size=k), name)
        same_inside(layer, build(name, scale=s, spatial_dims=d))
    if least > 1:
        with pytest.raises(ValueError, match=rf"expected at least {least} taps at stride {s}, got {least - 2}"):
            start(build("pixel_shuffle", scale=s, spatial_dims=d, kernel_size=least - 2), name)


@pytest.mark.parametrize("name", INTERPOLATIONS)
def test_interpolation_of_three_axes_and_of_one_axis_at_a_time(name: str) -> None:
    k = 4 * INTERPOLATIONS[name] // 2
    same_inside(start(build("transposed_conv", spatial_dims=3, kernel_size=k), name), build(name, spatial_dims=3))
    same_inside(start(build("separable_transposed_conv", kernel_size=k), name), build(name))


def test_bilinear_kernel_sums_to_the_number_of_phases_on_the_channel_diagonal() -> None:
    layer = start(build("transposed_conv", 3, 3), "bilinear")
    sums = layer.conv.weight.sum((2, 3))
    torch.testing.assert_close(sums.detach(), 4 * torch.eye(3).double())
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]).double() / 4
    torch.testing.assert_close(layer.conv.weight[0, 0].detach(), torch.outer(taps, taps))


def test_kernel_before_a_filter_starts_as_the_filter() -> None:
    # its own stride is one: the enlargement is the filter's
    for k in (3, 4, 5):
        same_inside(start(build("hold_conv", kernel_size=k), "bilinear"), build("nearest"))


def test_interpolation_on_convolutions_is_the_identity() -> None:
    for name in (*INTERPOLATIONS, "identity", "dirac"):
        same_inside(start(build("nearest_conv"), name), build("nearest"))
        same_inside(start(build("bilinear_conv", kernel_size=5), name), build("bilinear"))


def test_depthwise_filters_start_as_bilinear_with_channel_change() -> None:
    layer = start(build("depthwise_transposed_conv", 4, 2), "bilinear")
    x = noise(1, 4, 9, 9)
    means = (x[:, :2] + x[:, 2:]) / 2
    torch.testing.assert_close(layer(x)[..., 2:-2, 2:-2], build("bilinear")(means)[..., 2:-2, 2:-2])


@pytest.mark.parametrize(("c_in", "c_out"), [(2, 5), (5, 2), (6, 3), (1, 4), (4, 1)])
@pytest.mark.parametrize(("upsampler", "name"), [("nearest_conv", "identity"), ("transposed_conv", "bilinear")])
def test_no_output_channel_starts_at_zero(upsampler: str, name: str, c_in: int, c_out: int) -> None:
    layer = start(build(upsampler, c_in, c_out), name)
    y = layer(torch.ones(1, c_in, 7, 7, dtype=torch.float64))[..., 4:-4, 4:-4]
    torch.testing.assert_close(y, torch.ones_like(y))
    for channel in range(c_in):
        assert (phase_gains(layer)[:, channel] > 0).any()


@pytest.mark.parametrize("upsampler", ["transposed_conv", "pixel_shuffle"])
@pytest.mark.parametrize("s", [2, 3])
def test_dirac_is_zero_insertion(upsampler: str, s: int) -> None:
    layer = start(build(upsampler, 3, 5, scale=s), "dirac")
    gains = phase_gains(layer)
    expected = torch.zeros_like(gains)
    expected[torch.arange(3), torch.arange(3), 0, 0] = 1
    torch.testing.assert_close(gains, expected)
    assert tone_fraction(gains) == pytest.approx(1 - 1 / s**2)


def test_dirac_on_a_convolution_is_torchs() -> None:
    layer = start(build("nearest_conv", 3, 5), "dirac")
    expected = torch.nn.init.dirac_(torch.empty_like(layer.conv.weight))
    assert torch.equal(layer.conv.weight, expected)


def test_quarter_constant_is_not_bilinear() -> None:
    layer = start(build("transposed_conv", 64, 3, kernel_size=2), "constant")
    x = noise(1, 64, 4, 4)
    expected = 0.25 * F.interpolate(x.sum(1, keepdim=True), scale_factor=2).expand(1, 3, 8, 8)
    torch.testing.assert_close(layer(x), expected)
    torch.testing.assert_close(phase_gains(layer).sum(1), torch.full((3, 2, 2), 16.0).double())
    assert torch.linalg.matrix_rank(layer.conv.weight.detach().flatten(1)) == 1
    assert float(start(layer, "constant", value=2.0).conv.weight.detach().min()) == 2.0


CASES = [("transposed_conv", {"kernel_size": 4}), ("transposed_conv", {"kernel_size": 3}), ("pixel_shuffle", {})]


@pytest.mark.parametrize(("upsampler", "options"), [*CASES, ("nearest_conv", {}), ("transposed_conv", {"groups": 2})])
@pytest.mark.parametrize("name", ["kaiming_normal", "kaiming_uniform"])
def test_he_keeps_the_second_moment(upsampler: str, options: dict[str, int], name: str) -> None:
    layer = start(build(upsampler, 64, 16, **options), name)
    y = layer(noise(1, 64, 32, 32))[..., 2:-2, 2:-2]
    # repeated pixels are correlated: their sum over one draw of the weights scatters more
    assert float(y.detach().var()) == pytest.approx(2.0, rel=0.25 if upsampler == "nearest_conv" else 0.1)


def test_torchs_fan_out_is_scale_squared_too_large() -> None:
    layer = build("transposed_conv", 64, 16, kernel_size=4)
    torch.nn.init.kaiming_normal_(layer.conv.weight, mode="fan_out", generator=torch.Generator().manual_seed(0))
    y = layer(noise(1, 64, 32, 32))[..., 2:-2, 2:-2]
    assert float(y.detach().var()) == pytest.approx(0.5, rel=0.1)


def sample(name: str, shape: tuple[int, ...], layout: Layout, **options: object) -> Tensor:
    kernel = torch.empty(shape, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    catalog.load(PACKAGE, name).fill(kernel, layout, scale=2, generator=generator, **options)
    return kernel


LAYOUTS_OF_ONE_MAP = [
    ((16, 8, 6, 6), Layout("transposed", (2, 2))),
    ((32, 16, 3, 3), Layout("sub_pixel", (2, 2))),
]


@pytest.mark.parametrize("name", ["kaiming_normal", "kaiming_uniform", "xavier"])
def test_equal_maps_in_other_layouts_get_equal_variance(name: str) -> None:
    # sub-pixel with k taps and transposed with s k are one class of functions
    first, second = (sample(name, shape, layout).var() for shape, layout in LAYOUTS_OF_ONE_MAP)
    assert float(first) == pytest.approx(float(second), rel=0.1)


def test_glorot_agrees_with_torch_on_a_convolution() -> None:
    found = sample("xavier", (8, 16, 3, 3), Layout("conv", (1, 1)))
    expected = torch.empty(8, 16, 3, 3, dtype=torch.float64)
    torch.nn.init.xavier_uniform_(expected, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(found, expected)
    doubled = sample("xavier", (8, 16, 3, 3), Layout("conv", (1, 1)), gain=2.0)
    torch.testing.assert_close(doubled, 2 * expected)


def test_default_is_what_torchs_constructor_draws_from() -> None:
    bound = (16 * 36) ** -0.5
    kernel = sample("default", (16, 16, 6, 6), Layout("transposed", (2, 2)))
    assert bound * 0.99 < float(kernel.abs().max()) <= bound
    layer = start(build("transposed_conv", 2, 512, kernel_size=2), "default")
    bound = (512 * 4) ** -0.5
    assert bound * 0.9 < float(layer.conv.bias.detach().abs().max()) <= bound


def test_orthogonal_transposed_convolution_is_inverted_by_its_adjoint() -> None:
    layer = start(build("transposed_conv", 3, 3, kernel_size=2, bias=False), "orthogonal")
    x = noise(2, 3, 5, 5)
    y = layer(x)
    torch.testing.assert_close(F.conv2d(y, layer.conv.weight, stride=2), x)
    torch.testing.assert_close(y.square().sum(), x.square().sum())
    grouped = start(build("transposed_conv", 4, 4, kernel_size=2, groups=2, bias=False), "orthogonal")
    x = noise(2, 4, 5, 5)
    torch.testing.assert_close(F.conv2d(grouped(x), grouped.conv.weight, stride=2, groups=2), x)


@pytest.mark.parametrize(("s", "d"), [(2, 1), (2, 2), (3, 2), (4, 2), (2, 3)])
def test_icnr_starts_as_convolution_then_nearest(s: int, d: int) -> None:
    layer = start(build("pixel_shuffle", 3, 2, scale=s, spatial_dims=d), "icnr")
    x = noise(1, 3, *(5,) * d)
    conv = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[d]
    expected = F.interpolate(conv(x, layer.conv.weight[:: s**d], padding=1), scale_factor=s)
    torch.testing.assert_close(layer(x), expected)
    assert not layer.conv.bias.any()


def test_plain_repetition_of_icnr_would_not_be_flat() -> None:
    layer = start(build("pixel_shuffle", 8, 64), "icnr")
    weight = layer.conv.weight
    assert tone_fraction(phase_gains(layer)) < 1e-12
    with torch.no_grad():
        weight.copy_(weight[::4].clone().repeat(4, 1, 1, 1))
    assert tone_fraction(phase_gains(layer)) > 0.7


def test_icnr_from_another_base() -> None:
    layer = start(build("pixel_shuffle", 2, 2), "icnr", base="identity")
    same_inside(layer, build("nearest"))
    with pytest.raises(ValueError, match=r"icnr on pixel_shuffle: base: expected an initialization of conv kernels"):
        start(layer, "icnr", base="icnr_transposed")
    with pytest.raises(ValueError, match=r"there is no 'bilinaer'; did you mean 'bilinear'\?"):
        start(layer, "icnr", base="bilinaer")


@pytest.mark.parametrize(("s", "k", "d"), [(2, 2, 2), (2, 4, 2), (2, 6, 1), (3, 6, 2), (4, 4, 1), (2, 4, 3)])
def test_transposed_icnr_has_equal_phases(s: int, k: int, d: int) -> None:
    layer = start(build("transposed_conv", 16, 8, scale=s, kernel_size=k, spatial_dims=d), "icnr_transposed")
    gains = phase_gains(layer).flatten(2)
    torch.testing.assert_close(gains, gains[..., :1].expand_as(gains))
    assert float(layer.conv.weight.detach().var()) == pytest.approx(2 / (16 * (k / s) ** d), rel=0.3)


def test_transposed_icnr_refuses_what_it_cannot_equalise() -> None:
    with pytest.raises(ValueError, match=r"expected a multiple of the stride 2, got 3; use kernel_size=4"):
        start(build("transposed_conv", kernel_size=3), "icnr_transposed")
    with pytest.raises(ValueError, match=r"expected a multiple of the stride 3, got 4; use kernel_size=3"):
        start(build("transposed_conv", scale=3, kernel_size=4), "icnr_transposed")
    with pytest.raises(ValueError, match=r"dilation: expected no common factor with the stride 2, got 2"):
        sample("icnr_transposed", (2, 2, 4, 4), Layout("transposed", (2, 2), dilation=2))
    # odd dilations only rename the phases
    layer = start(build("transposed_conv", kernel_size=4, dilation=3), "icnr_transposed")
    gains = phase_gains(layer).flatten(2)
    torch.testing.assert_close(gains, gains[..., :1].expand_as(gains))


@pytest.mark.parametrize(("upsampler", "options"), CASES)
@pytest.mark.parametrize("base", ["kaiming_normal", "default", "orthogonal"])
def test_equal_gain_is_the_nearest_clean_kernel(upsampler: str, options: dict[str, int], base: str) -> None:
    layer = start(build(upsampler, 2, 2, **options), "equal_gain", base=base)
    assert tone_fraction(phase_gains(layer)) < 1e-24
    clean = layer.conv.weight.detach().clone()
    raw = start(layer, base).conv.weight.detach()
    assert float(((raw - clean) * clean).sum()) == pytest.approx(0, abs=1e-12)  # orthogonal to what stays


def test_equal_gain_leaves_clean_kernels_and_refuses_small_ones() -> None:
    layer = start(build("transposed_conv"), "equal_gain", base="bilinear")
    same_inside(layer, build("bilinear"))
    first = start(build("transposed_conv", kernel_size=6), "equal_gain", order=1)
    kernels = phase_kernels(first)  # order one: ramps stay clean too, so every phase has the same first moment
    cells = torch.arange(kernels.shape[-1]).double() - kernels.shape[-1] // 2
    moments = torch.einsum("oipqmn,m->oipq", kernels, cells) + phase_gains(first) * torch.arange(2).reshape(2, 1) / 2
    torch.testing.assert_close(moments[:, :, 0], moments[:, :, 1])
    with pytest.raises(ValueError, match=r"equal_gain on transposed_conv: .*kernel: expected at least 2 taps"):
        start(build("transposed_conv", kernel_size=1), "equal_gain")
    with pytest.raises(ValueError, match=r"dilation: expected no common factor with the stride 2, got 2"):
        start(build("transposed_conv", kernel_size=4, dilation=2), "equal_gain")


PAIRS = [
    pytest.param(u, i, id=f"{u}-{i}")
    for u in UPSAMPLERS
    for i in INITIALIZERS
    if set(UPSAMPLERS[u].flags.get("layouts", ())) <= set(INITIALIZERS[i].flags["layouts"])
]
REFUSED = [
    pytest.param(u, i, id=f"{u}-{i}")
    for u in UPSAMPLERS
    for i in INITIALIZERS
    if not set(UPSAMPLERS[u].flags.get("layouts", ())) <= set(INITIALIZERS[i].flags["layouts"])
]


def supported(upsampler: str) -> dict[str, int]:
    dims, scales = (UPSAMPLERS[upsampler].flags.get(key) for key in ("dims", "scales"))
    return {"spatial_dims": (1 if 1 in (dims or (1,)) else 2), "scale": (scales or (2,))[0]}


def with_room(upsampler: str) -> Upsampler:
    """Return a layer whose kernel is large enough for every interpolation, if its size can be chosen."""
    sizes = ({"kernel_size": k} for k in (8, 7) if "kernel_size" in UPSAMPLERS[upsampler].options)
    for options in (*sizes, {}):
        try:
            return build(upsampler, 3, 2, **supported(upsampler), **options)
        except ValueError:
            continue
    raise AssertionError(f"{upsampler} cannot be built with its default options")


def refusal(layer: Upsampler, name: str) -> str:
    try:
        start(layer, name)
    except ValueError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("upsampler", "name"), PAIRS)
def test_compatible_pairs_start_finite_and_the_same_for_one_seed(upsampler: str, name: str) -> None:
    state = torch.get_rng_state()
    layer = with_room(upsampler)
    message = refusal(layer, name)
    if message:  # only for the size of a kernel, or for want of one
        assert re.fullmatch(
            rf"{name} on {upsampler}: .*expected (at least|a multiple of|a learnable kernel).*", message
        )
        return
    if not list(layer.kernels()):
        assert name == "default"
        return
    first = [kernel.weight.detach().clone() for kernel in layer.kernels()]
    assert all(torch.isfinite(p).all() for p in layer.parameters())
    assert all(float(weight.abs().sum()) > 0 for weight in first)
    start(layer, "constant", value=7.0)
    start(layer, name)
    assert all(torch.equal(k.weight, before) for k, before in zip(layer.kernels(), first, strict=True))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("upsampler", "name"), REFUSED)
def test_incompatible_pairs_are_refused_by_name(upsampler: str, name: str) -> None:
    layer = build(upsampler, 3, 2, **supported(upsampler))
    before = [p.detach().clone() for p in layer.parameters()]
    with pytest.raises(ValueError, match=rf"{name} on {upsampler}: expected a .* kernel, got .*; (exclude|use)"):
        start(layer, name)
    if len(UPSAMPLERS[upsampler].flags["layouts"]) == 1:
        assert all(torch.equal(p, b) for p, b in zip(layer.parameters(), before, strict=True))


@pytest.mark.parametrize("name", INITIALIZERS)
def test_bias_is_explicit(name: str) -> None:
    upsampler = {"conv": "nearest_conv", "transposed": "transposed_conv", "sub_pixel": "pixel_shuffle"}
    for kind in INITIALIZERS[name].flags["layouts"]:
        k = 8 if kind == "transposed" else 5
        bias = start(build(upsampler[kind], 2, 2, kernel_size=k), name).conv.bias.detach()
        assert bool(bias.any()) == (INITIALIZERS[name].flags.get("bias", "zero") == "framework")


def test_default_keeps_a_fixed_upsampler_and_others_refuse_it() -> None:
    start(build("nearest", 2, 2), "default")
    with pytest.raises(ValueError, match=r"dirac on nearest: expected a learnable kernel, got none; use 'default'"):
        start(build("nearest", 2, 2), "dirac")


def test_unknown_names_and_options_are_refused() -> None:
    with pytest.raises(ValueError, match=r"initializers: there is no 'icrn'; did you mean 'icnr'\?"):
        start(build("pixel_shuffle"), "icrn")
    with pytest.raises(ValueError, match=r"constant has no option 'vlaue'; did you mean 'value'\?"):
        start(build("pixel_shuffle"), "constant", vlaue=1.0)
    with pytest.raises(ValueError, match=r"bilinear on transposed_conv: kernel: expected dilation 1, got 3"):
        start(build("transposed_conv", kernel_size=4, dilation=3), "bilinear")


def test_catalogue_of_initializations() -> None:
    assert len(INITIALIZERS) >= 12
    labels = [component.label for component in INITIALIZERS.values()]
    assert len(set(labels)) == len(labels)
    for component in INITIALIZERS.values():
        assert not component.broken
        assert component.source
        assert set(component.flags["layouts"]) <= {"conv", "transposed", "sub_pixel"}


def test_layouts_name_what_kernels_yields() -> None:
    kernel = next(iter(build("pixel_shuffle").kernels()))
    assert isinstance(kernel, Kernel)
    assert (kernel.layout.kind, kernel.layout.strides) == ("sub_pixel", (2, 2))
