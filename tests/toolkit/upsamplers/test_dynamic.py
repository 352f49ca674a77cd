"""CARAFE, DySample, SAPA and FADE: parameter counts, what they compute at the start, slow references."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from checkerscope.toolkit.contracts.upsampler import Context, Upsampler
from tests.builders import build, noise

SCALES = [1, 2, 3, 4]


def parameters(layer: Upsampler) -> int:
    return sum(p.numel() for p in layer.parameters())


def with_random_weights(layer: Upsampler) -> Upsampler:
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for p in layer.parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=p.dtype) * 0.3)
    return layer


COUNTS = [
    ("carafe", {}, 64, 61_860),
    ("dysample", {"style": "lp"}, 64, 2_080),
    ("dysample", {"style": "lp", "dynamic_scope": True}, 64, 4_128),
    ("dysample", {"style": "pl"}, 64, 136),
    ("dysample", {"style": "pl", "dynamic_scope": True}, 64, 264),
    ("sapa", {}, 64, 2 * 2 * 64 + 2 * (64 * 64 + 64)),
    ("fade", {}, 64, 64 * 64 + 64 + 64 * 64 + 64 * 25 * 9 + 25 + 65),
    ("fade", {"gated": False}, 64, 64 * 64 + 64 + 64 * 64 + 64 * 25 * 9 + 25),
]


@pytest.mark.parametrize(("name", "options", "channels", "expected"), COUNTS)
def test_parameter_counts(name: str, options: dict[str, object], channels: int, expected: int) -> None:
    assert parameters(build(name, channels, channels, **options)) == expected
    changed = build(name, 32, channels, **options)
    assert parameters(changed) == expected + 32 * channels  # a bias-free 1x1 convolution
    assert [kernel.weight.shape for kernel in changed.kernels()] == [(channels, 32, 1, 1)]


def box_blur_of_nearest(x: Tensor, s: int) -> Tensor:
    mean = F.avg_pool2d(F.pad(x, (2, 2, 2, 2)), 5, stride=1)
    return F.interpolate(mean, scale_factor=s, mode="nearest")


@pytest.mark.parametrize("s", SCALES)
def test_carafe_rows_sum_to_one_and_it_starts_as_a_box_blur(s: int) -> None:
    layer, x = build("carafe", 4, 4, scale=s), noise(2, 4, 7, 6)
    weights = layer.weights(x)
    assert weights.shape == (2, 25, s * s, 7, 6)
    torch.testing.assert_close(weights.sum(1), torch.ones(2, s * s, 7, 6).double())
    assert float((layer(x) - box_blur_of_nearest(x, s)).detach().abs().max()) < 0.03
    corner = layer(torch.ones(1, 4, 7, 6).double())[0, 0, 0, 0]
    assert float(corner.detach()) == pytest.approx(0.36, abs=0.01)


def reassembled_slowly(x: Tensor, weights: Tensor, k: int, s: int) -> Tensor:
    """y[c, i, j] = sum over the k x k neighbourhood of source pixel (i // s, j // s), one pixel after the other."""
    n, c, h, w = x.shape
    y = torch.zeros(n, c, s * h, s * w, dtype=x.dtype)
    for i, j in itertools.product(range(s * h), range(s * w)):
        for a, b in itertools.product(range(k), range(k)):
            row, column = i // s + a - k // 2, j // s + b - k // 2
            if 0 <= row < h and 0 <= column < w:
                weight = weights[:, a * k + b, (i % s) * s + j % s, i // s, j // s]
                y[:, :, i, j] += weight[:, None] * x[:, :, row, column]
    return y


@pytest.mark.parametrize(("s", "k"), [(2, 5), (3, 3)])
def test_carafe_agrees_with_a_loop(s: int, k: int) -> None:
    layer = with_random_weights(build("carafe", 2, 2, scale=s, kernel_size=k, compressed_channels=3))
    x = noise(1, 2, 4, 3)
    logits = F.conv2d(
        F.conv2d(x, layer.compress.weight, layer.compress.bias), layer.encode.weight, layer.encode.bias, padding=1
    )
    # the paper: k^2 maps of high resolution, softmax over them
    high = F.pixel_shuffle(logits, s).softmax(1)
    weights = torch.stack([high[:, :, i::s, j::s] for i in range(s) for j in range(s)], 2)
    torch.testing.assert_close(layer(x), reassembled_slowly(x, weights, k, s))


@pytest.mark.parametrize(("s", "style", "dynamic"), list(itertools.product(SCALES, ("lp", "pl"), (False, True))))
def test_dysample_without_offsets_is_bilinear(s: int, style: str, dynamic: bool) -> None:
    layer = build("dysample", 16 * 9, 16 * 9, scale=s, style=style, dynamic_scope=dynamic)
    x = noise(2, 16 * 9, 5, 4)
    expected = F.interpolate(x, scale_factor=s, mode="bilinear", align_corners=False)
    assert float((layer(x) - expected).detach().abs().max()) < 0.1  # N(0, 0.001) offsets
    torch.nn.init.zeros_(layer.offset.weight)
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-12)
    single = layer.float()(x.float())
    torch.testing.assert_close(single, expected.float(), rtol=0, atol=1e-5)


def sampled_slowly(x: Tensor, offsets: Tensor, s: int) -> Tensor:
    """x at (j + 1/2) / s - 1/2 + o[j], clamped to the map; offsets (N, 2, g, sH, sW), along the last axis first."""
    n, c, h, w = x.shape
    g = offsets.shape[2]
    y = torch.zeros(n, c, s * h, s * w, dtype=x.dtype)
    for b, channel, i, j in itertools.product(range(n), range(c), range(s * h), range(s * w)):
        o = offsets[b, :, channel // (c // g), i, j]
        column = float(((j + 0.5) / s - 0.5 + o[0]).clamp(0, w - 1))
        row = float(((i + 0.5) / s - 0.5 + o[1]).clamp(0, h - 1))
        r0, c0 = min(int(row), h - 1), min(int(column), w - 1)
        r1, c1, fr, fc = min(r0 + 1, h - 1), min(c0 + 1, w - 1), row - r0, column - c0
        top = x[b, channel, r0, c0] * (1 - fc) + x[b, channel, r0, c1] * fc
        low = x[b, channel, r1, c0] * (1 - fc) + x[b, channel, r1, c1] * fc
        y[b, channel, i, j] = top * (1 - fr) + low * fr
    return y


@pytest.mark.parametrize(("style", "dynamic"), list(itertools.product(("lp", "pl"), (False, True))))
def test_dysample_agrees_with_a_loop(style: str, dynamic: bool) -> None:
    s, g = 2, 2
    layer = with_random_weights(build("dysample", 8, 8, style=style, groups=g, dynamic_scope=dynamic))
    x = noise(1, 8, 4, 3)
    source = F.pixel_shuffle(x, s) if style == "pl" else x
    scale = torch.sigmoid(layer.scope(source)) * 0.5 if dynamic else 0.25
    offsets = layer.offset(source) * scale
    if style == "lp":
        offsets = F.pixel_shuffle(offsets, s)
    expected = sampled_slowly(x, offsets.detach().reshape(1, 2, g, 8, 6), s)
    torch.testing.assert_close(layer(x), expected)


def test_dysample_offsets_move_groups_apart() -> None:
    layer = build("dysample", 4, 4, groups=2)
    torch.nn.init.zeros_(layer.offset.weight)
    with torch.no_grad():
        layer.offset.bias.copy_(torch.tensor([4.0, 0.0, 0.0, 0.0]).repeat_interleave(4))  # group 0, to the right by one
    x = noise(1, 4, 5, 5)
    bilinear = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    y = layer(x)
    torch.testing.assert_close(y[:, :2, :, :-4], bilinear[:, :2, :, 2:-2])
    torch.testing.assert_close(y[:, 2:], bilinear[:, 2:])


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6, 7, 64])
def test_dysample_finds_groups_for_any_channels(channels: int) -> None:
    layer = build("dysample", channels, channels)
    assert layer.groups == {1: 1, 2: 2, 3: 3, 4: 4, 6: 3, 7: 1, 64: 4}[channels]


@pytest.mark.parametrize("s", SCALES)
def test_sapa_starts_as_a_box_blur_and_weighs_by_similarity(s: int) -> None:
    layer, x = build("sapa", 4, 4, scale=s), noise(2, 4, 6, 7)
    guide = noise(2, 4, 6 * s, 7 * s, seed=2)
    weights = layer.weights(x, guide)
    torch.testing.assert_close(weights.sum(1), torch.ones(2, s * s, 6, 7).double())
    torch.nn.init.zeros_(layer.query.weight)
    torch.testing.assert_close(layer(x, Context(features=guide)), box_blur_of_nearest(x, s))


def test_sapa_agrees_with_a_loop() -> None:
    s, k = 2, 3
    layer = with_random_weights(build("sapa", 3, 3, kernel_size=k, embedding=5, guide_channels=2))
    x, guide = noise(1, 3, 4, 3), noise(1, 2, 8, 6, seed=2)
    query = layer.query(layer.norm_query(guide.permute(0, 2, 3, 1)))
    key = layer.key(layer.norm_key(x.permute(0, 2, 3, 1)))
    weights = torch.zeros(1, k * k, s * s, 4, 3, dtype=torch.float64)
    for i, j in itertools.product(range(8), range(6)):
        scores = []
        for a, b in itertools.product(range(k), range(k)):
            row, column = i // s + a - 1, j // s + b - 1
            inside = 0 <= row < 4 and 0 <= column < 3
            scores.append(query[0, i, j] @ key[0, row, column] if inside else torch.zeros(()).double())
        weights[0, :, (i % s) * s + j % s, i // s, j // s] = torch.stack(scores).softmax(0)
    torch.testing.assert_close(layer(x, Context(features=guide)), reassembled_slowly(x, weights, k, s))


def test_fade_mixes_kernels_of_both_and_gates() -> None:
    s, k = 2, 3
    layer = with_random_weights(build("fade", 3, 3, kernel_size=k, embedding=4, guide_channels=2))
    x, guide = noise(1, 3, 4, 5), noise(1, 2, 8, 10, seed=2)
    encode = (layer.encode.weight, layer.encode.bias)
    high = F.conv2d(F.conv2d(guide, layer.compress_guide.weight, layer.compress_guide.bias), *encode, padding=1)
    low = F.conv2d(F.conv2d(x, layer.compress_source.weight), *encode, padding=1)
    logits = high + F.interpolate(low, scale_factor=s, mode="nearest")
    kernels = logits.softmax(1)
    weights = torch.stack([kernels[:, :, i::s, j::s] for i in range(s) for j in range(s)], 2)
    gate = F.interpolate(torch.sigmoid(layer.gate(x)), scale_factor=s, mode="nearest")
    expected = gate * layer.align(guide) + (1 - gate) * reassembled_slowly(x, weights, k, s)
    torch.testing.assert_close(layer(x, Context(features=guide)), expected)


def test_fade_without_gate_is_reassembly_and_an_open_gate_is_the_encoder() -> None:
    layer, x, guide = build("fade", 3, 3), noise(1, 3, 4, 5), noise(1, 3, 8, 10, seed=2)
    torch.nn.init.zeros_(layer.encode.weight)
    torch.nn.init.constant_(layer.gate.bias, -60.0)
    torch.testing.assert_close(layer(x, Context(features=guide)), box_blur_of_nearest(x, 2))
    torch.nn.init.constant_(layer.gate.bias, 60.0)
    torch.testing.assert_close(layer(x, Context(features=guide)), guide)
    plain = build("fade", 3, 3, gated=False)
    assert plain.align is None
    torch.nn.init.zeros_(plain.encode.weight)
    torch.testing.assert_close(plain(x, Context(features=guide)), box_blur_of_nearest(x, 2))


@pytest.mark.parametrize("name", ["carafe", "dysample", "sapa"])
def test_constants_stay_flat_whatever_is_learned(name: str) -> None:
    layer = with_random_weights(build(name, 4, 4, scale=3))
    x = torch.tensor([0.5, -1.0, 2.0, 0.0]).double().reshape(1, 4, 1, 1).expand(1, 4, 9, 9)
    y = layer(x, Context(features=noise(1, 4, 27, 27)))[..., 6:-6, 6:-6]
    torch.testing.assert_close(y, x[..., :1, :1].expand_as(y))


@pytest.mark.parametrize("name", ["sapa", "fade"])
def test_guides_that_do_not_fit_are_refused(name: str) -> None:
    layer, x = build(name, 4, 4), noise(1, 4, 5, 5)
    with pytest.raises(ValueError, match=rf"{name}: context: expected the encoder's features, got none"):
        layer(x)
    with pytest.raises(ValueError, match=rf"{name}: context: expected the encoder's features, got none"):
        layer(x, Context(indices=torch.zeros(1, 4, 5, 5, dtype=torch.int64)))
    with pytest.raises(ValueError, match=rf"{name}: features: expected shape \(1, 4, 10, 10\), got \(1, 4, 11, 10\)"):
        layer(x, Context(features=noise(1, 4, 11, 10)))
    with pytest.raises(ValueError, match=r"got \(1, 3, 10, 10\); guide_channels must be the encoder's channels"):
        layer(x, Context(features=noise(1, 3, 10, 10)))


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match=r"carafe: kernel_size: expected an odd integer, got 4; use 3 or 5"):
        build("carafe", 4, 4, kernel_size=4)
    with pytest.raises(ValueError, match=r"carafe: spatial_dims: expected one of 2, got 3"):
        build("carafe", 4, 4, spatial_dims=3)
    with pytest.raises(ValueError, match=r"dysample: style: expected one of 'lp', 'pl', got 'xx'"):
        build("dysample", 4, 4, style="xx")
    with pytest.raises(ValueError, match=r"dysample: groups: expected a divisor of 6, got 4; use 3"):
        build("dysample", 6, 6, groups=4)
    with pytest.raises(ValueError, match=r"a multiple of 4 for style 'pl', got 6; use style='lp' or 8 channels"):
        build("dysample", 6, 6, style="pl")
    with pytest.raises(ValueError, match=r"sapa: embedding: expected an integer from 1, got 0"):
        build("sapa", 4, 4, embedding=0)
    with pytest.raises(ValueError, match=r"fade: guide_channels: expected an integer from 1, got 0"):
        build("fade", 4, 4, guide_channels=0)
