"""Identities between learned upsamplers, in float64, border included unless said otherwise."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from checkerscope.toolkit import filters
from checkerscope.toolkit.contracts.upsampler import shuffle
from checkerscope.toolkit.filters import equal_gain_projection
from tests.builders import build, close, noise

TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
SIDES = (5, 4, 3)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize(("k", "s"), [(3, 2), (1, 3), (5, 2), (3, 3)])
def test_sub_pixel_convolution_is_a_transposed_convolution_of_s_times_the_size(dims, k, s):
    """Tap i of phase p is tap p + s (k - 1 - i); the bias is constant over phases here. Border included."""
    sub_pixel = build("pixel_shuffle", 3, 2, scale=s, spatial_dims=dims, kernel_size=k)
    transposed = build("transposed_conv", 3, 2, scale=s, spatial_dims=dims, kernel_size=s * k)
    taps = sub_pixel.conv.weight.detach().unflatten(0, (2, *(s,) * dims)).flip(tuple(range(-dims, 0)))
    order = [dims + 1, 0, *(axis for i in range(dims) for axis in (dims + 2 + i, 1 + i))]
    with torch.no_grad():
        transposed.conv.weight.copy_(taps.permute(order).reshape(transposed.conv.weight.shape))
        sub_pixel.conv.bias.copy_(transposed.conv.bias.repeat_interleave(s**dims))
    x = noise(2, 3, *SIDES[:dims])
    close(sub_pixel(x), transposed(x))


@pytest.mark.parametrize("sides", [(520,), (23, 24), (9, 8, 8), (5, 4)], ids=str)
@pytest.mark.parametrize(("k", "s"), [(3, 2), (1, 2), (5, 2), (3, 3), (3, 4), (3, 1)])
def test_nearest_conv_equals_resize_then_convolution_with_gradients(sides, k, s):
    """Both of its ways: the last map is too small for the merged one."""
    merged = build("nearest_conv", 3, 2, scale=s, spatial_dims=len(sides), kernel_size=k)
    plain = build("nearest_conv", 3, 2, scale=s, spatial_dims=len(sides), kernel_size=k)
    x, twin = noise(2, 3, *sides).requires_grad_(), noise(2, 3, *sides).requires_grad_()
    assert merged._is_merged(x) == (s > 1 and sides != (5, 4))
    y, expected = merged(x), plain.conv(F.interpolate(twin, scale_factor=s, mode="nearest"))
    close(y, expected)
    weight = noise(*y.shape, seed=2) / y.shape[-1]
    (y * weight).sum().backward()
    (expected * weight).sum().backward()
    close(x.grad, twin.grad)
    close(merged.conv.weight.grad, plain.conv.weight.grad)
    close(merged.conv.bias.grad, plain.conv.bias.grad)


def test_nearest_conv_of_three_taps_is_a_transposed_convolution_of_four_stride_two():
    nearest = build("nearest_conv", 3, 2)
    x = noise(2, 3, 5, 4)
    weight = nearest.effective_weight()
    assert weight.shape == (3, 2, 4, 4)
    resized = nearest.conv(F.interpolate(x, scale_factor=2, mode="nearest"))
    close(F.conv_transpose2d(x, weight, nearest.conv.bias, stride=2, padding=1), resized)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("scale", [2, 3, 4, 5])
def test_depthwise_transposed_convolution_starts_as_bilinear_inside(dims, scale):
    depthwise = build("depthwise_transposed_conv", 2, 2, scale=scale, spatial_dims=dims)
    if scale == 2:
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64) / 4
        close(depthwise.weight[0, 0], filters.outer(taps, dims), atol=1e-7)
    taps = filters.outer(filters.sampled(filters.triangle, 1.0, scale), dims)
    with torch.no_grad():
        depthwise.weight.copy_(taps.expand_as(depthwise.weight))  # the constructor wrote float32
    x = noise(1, 2, *SIDES[:dims])
    inside = (..., *(slice(scale, -scale),) * dims)
    expected = build("bilinear", 2, 2, scale=scale, spatial_dims=dims)(x)
    close(depthwise(x)[inside], expected[inside])
    assert (depthwise(x) - expected).abs().max() > 0.01  # the border differs: zeros outside


def test_pixel_shuffle_blur_is_the_layer_of_fastai_without_its_activation():
    blurred = build("pixel_shuffle_blur", 3, 2)
    theirs = nn.Sequential(nn.PixelShuffle(2), nn.ReplicationPad2d((1, 0, 1, 0)), nn.AvgPool2d(2, stride=1))
    x = noise(2, 3, 5, 4)
    close(blurred(x), theirs(blurred.conv(x)))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_blur_is_the_hold_kernel(scale):
    """Running mean = H0 / s^d: away from the border the blurred sub-pixel is a transposed convolution, held."""
    blurred = build("pixel_shuffle_blur", 1, 1, scale=scale, bias=False)
    held = build("hold_conv", 1, 1, scale=scale, kernel_size=scale, bias=False)
    with torch.no_grad():
        held.conv.weight.copy_(blurred.conv.weight.reshape(1, 1, scale, scale) / scale**2)
    x = noise(1, 1, 6, 5)
    shift = -(-(scale - 1) // 2)  # the hold is centred, the blur looks back
    got = blurred(x)[..., scale:-scale, scale:-scale]
    expected = F.pad(held(x), (shift, 0, shift, 0))[..., : 6 * scale, : 5 * scale][..., scale:-scale, scale:-scale]
    close(got, expected)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize(("k", "s"), [(3, 2), (5, 3), (1, 4), (3, 1)])
def test_hold_conv_of_odd_size_is_nearest_conv_with_the_kernel_reversed(dims, k, s):
    hold = build("hold_conv", 3, 2, scale=s, spatial_dims=dims, kernel_size=k)
    nearest = build("nearest_conv", 3, 2, scale=s, spatial_dims=dims, kernel_size=k)
    with torch.no_grad():
        nearest.conv.weight.copy_(hold.conv.weight.transpose(0, 1).flip(tuple(range(2, 2 + dims))))
        nearest.conv.bias.copy_(hold.conv.bias)
    x = noise(2, 3, *SIDES[:dims])
    close(hold(x), nearest(x))


@pytest.mark.parametrize("dims", [1, 2])
@pytest.mark.parametrize(
    ("k", "s", "order"), [(4, 2, 0), (3, 2, 1), (1, 4, 2), (6, 3, 3), (2, 5, 1), (9, 2, 1), (5, 1, 1)]
)
def test_filtered_transposed_convolutions_equal_one_merged_kernel(dims, k, s, order):
    smooth = build("smooth_conv", 3, 2, scale=s, spatial_dims=dims, kernel_size=k, order=order)
    merged = filters.along_axes(smooth.conv.weight, filters.convolution_matrix(filters.bspline(order, s), k))
    size = k + (order + 1) * (s - 1)
    padding = -((s - size) // 2) if size > s else 0
    extra = 2 * padding - size + s
    x = noise(2, 3, *SIDES[:dims])
    close(smooth(x), TRANSPOSED[dims](x, merged, smooth.conv.bias, s, padding, extra))


def test_stylegan2_filter_after_a_transposed_convolution_is_bilinear_then_convolution_inside():
    fir = build("transposed_conv_fir", 3, 2, bias=False)
    x = noise(2, 3, 7, 6)
    resized = F.interpolate(x, scale_factor=2, mode="bilinear")
    expected = F.conv_transpose2d(resized, fir.conv.weight, padding=1)
    close(fir(x)[..., 4:-4, 4:-4], expected[..., 4:-4, 4:-4])


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(("k", "s"), [(4, 2), (3, 3), (3, 2)])
def test_separable_transposed_convolution_is_one_with_a_product_kernel(dims, k, s):
    separable = build("separable_transposed_conv", 3, 2, scale=s, spatial_dims=dims, kernel_size=k)
    whole = build("transposed_conv", 3, 2, scale=s, spatial_dims=dims, kernel_size=k)
    kernels = [kernel.weight.detach().flatten(2) for kernel in separable.kernels()]
    product = torch.einsum("ioa,opb->ipab", kernels[0], kernels[1])
    if dims == 3:
        product = torch.einsum("ipab,pqc->iqabc", product, kernels[2])
    with torch.no_grad():
        whole.conv.weight.copy_(product)
        whole.conv.bias.copy_(separable.convs[-1].bias)
    x = noise(2, 3, *SIDES[:dims])
    close(separable(x), whole(x))


@pytest.mark.parametrize("size", [7, 11])
def test_large_kernel_transposed_convolution_is_the_sum_of_two(size):
    large = build("large_kernel_transposed_conv", 3, 2, kernel_size=size)
    x = noise(2, 3, 6, 5)
    wide = F.conv_transpose2d(x, large.wide.weight, large.wide.bias, 2, (size - 1) // 2, 1)
    close(large(x), wide + F.conv_transpose2d(x, large.narrow.weight, None, 2, 1, 1))


@pytest.mark.parametrize("scale", [1, 3, 4])
def test_large_kernel_transposed_convolution_at_other_scales_is_the_sum_of_two(scale):
    large = build("large_kernel_transposed_conv", 3, 2, scale=scale)
    wide, narrow = (build("transposed_conv", 3, 2, scale=scale, kernel_size=size) for size in (2 * scale + 3, 3))
    with torch.no_grad():
        for module, kernel in ((wide, large.wide), (narrow, large.narrow)):
            module.conv.weight.copy_(kernel.weight)
            module.conv.bias.zero_()
        large.wide.bias.zero_()
    x = noise(1, 3, 6, 5)
    got, expected = large(x), wide(x) + narrow(x)
    close(got[..., scale:, scale:], expected[..., scale:, scale:])


def test_pixel_transposed_convolution_follows_its_recursion():
    pixel = build("pixel_transposed_conv", 3, 2, kernel_size=5)
    with torch.no_grad():
        pixel.bias.copy_(torch.tensor([0.5, -1.0]))
    x = noise(2, 3, 5, 4)
    y = pixel(x) - pixel.bias[:, None, None]
    a = F.conv2d(x, pixel.first.weight, padding=2)
    b = F.conv2d(a, pixel.second.weight, padding=2)
    close(y[..., ::2, ::2], a)
    close(y[..., 1::2, 1::2], b)
    known = torch.zeros_like(y)
    known[..., ::2, ::2], known[..., 1::2, 1::2] = a, b
    padded = F.pad(known, (2, 2, 2, 2))
    expected = sum(
        torch.einsum("oc,nchw->nohw", pixel.between.weight[..., i, j], padded[..., i : i + 10, j : j + 8])
        for i in range(5)
        for j in range(5)
        if (i + j) % 2
    )
    for rows, columns in ((0, 1), (1, 0)):
        close(y[..., rows::2, columns::2], expected[..., rows::2, columns::2])


def test_masked_taps_never_act():
    pixel = build("pixel_transposed_conv", 3, 2)
    x = noise(1, 3, 4, 4)
    before = pixel(x).detach()
    pixel(x).square().sum().backward()
    masked = (torch.arange(3)[:, None] + torch.arange(3)) % 2 == 0
    assert int((~masked).sum()) == 4
    assert not pixel.between.weight.grad[..., masked].any()
    with torch.no_grad():
        pixel.between.weight[..., masked] += 1
    close(pixel(x), before)


def test_input_pixel_transposed_convolution_follows_its_recursion():
    pixel = build("ipixel_transposed_conv", 3, 2)
    with torch.no_grad():
        pixel.bias.copy_(torch.tensor([0.5, -1.0]))
    x = noise(2, 3, 5, 4)
    y = pixel(x) - pixel.bias[:, None, None]
    a = F.conv2d(x, pixel.first.weight, padding=1)
    b = F.conv2d(torch.cat([x, a], 1), pixel.second.weight, padding=1)
    rest = F.conv2d(torch.cat([x, a, b], 1), pixel.last.weight, padding=1)
    close(y[..., ::2, ::2], a)
    close(y[..., 1::2, 1::2], b)
    close(y[..., 1::2, ::2], rest[:, :2])
    close(y[..., ::2, 1::2], rest[:, 2:])


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("order", [0, 1])
def test_equal_gain_layers_equal_plain_layers_with_projected_kernels(dims, order):
    x = noise(2, 3, *SIDES[:dims])
    ours = build("equal_gain_transposed_conv", 3, 2, spatial_dims=dims, order=order)
    plain = build("transposed_conv", 3, 2, spatial_dims=dims)
    with torch.no_grad():
        plain.conv.weight.copy_(equal_gain_projection.project_transposed(ours.conv.weight, (2,) * dims, order))
        plain.conv.bias.copy_(ours.conv.bias)
    close(ours(x), plain(x))
    ours = build("equal_gain_pixel_shuffle", 3, 2, spatial_dims=dims, order=order)
    plain = build("pixel_shuffle", 3, 2, spatial_dims=dims)
    with torch.no_grad():
        ours.bias.copy_(torch.tensor([0.5, -1.0]))
        plain.conv.weight.copy_(equal_gain_projection.project_sub_pixel(ours.conv.weight, (2,) * dims, order))
        plain.conv.bias.copy_(ours.bias.repeat_interleave(2**dims))
    close(ours(x), plain(x))


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_shuffle_of_images_volumes_and_lines_agree(scale):
    """Torch's layout in 2-D; a volume or line with one more or less trivial axis is the same shuffle."""
    x = noise(2, 3 * scale**2, 4, 5)
    close(shuffle(x, scale), F.pixel_shuffle(x, scale), atol=0)
    line = noise(2, 3 * scale, 5)
    expected = torch.stack([line[:, scale * c : scale * c + scale].transpose(1, 2).flatten(1) for c in range(3)], 1)
    close(shuffle(line, scale), expected, atol=0)
    volume = noise(1, scale**3, 2, 3, 2)
    y = shuffle(volume, scale)
    for p in range(scale**3):
        at = (p // scale**2, p // scale % scale, p % scale)
        close(y[0, 0][tuple(slice(i, None, scale) for i in at)], volume[0, p], atol=0)
