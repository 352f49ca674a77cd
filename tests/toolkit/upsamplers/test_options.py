"""Numbers of weights against the formulas of the literature, and options that are refused."""

import pytest

from tests.builders import build

CI, CO = 6, 4
COUNTS = [
    ("transposed_conv", {"kernel_size": 4}, CI * CO * 16),
    ("nearest_conv", {}, CI * CO * 9),
    ("bilinear_conv", {}, CI * CO * 9),
    ("pixel_shuffle", {}, CI * CO * 4 * 9),
    ("pixel_shuffle_blur", {}, CI * CO * 4),
    ("separable_transposed_conv", {"kernel_size": 4}, 4 * CO * (CI + CO)),
    ("depthwise_transposed_conv", {}, CI * CO + CO * 16),
    ("transposed_conv_fir", {}, CI * CO * 9),
    ("hold_conv", {}, CI * CO * 16),
    ("smooth_conv", {}, CI * CO * 16),
    ("pixel_transposed_conv", {}, 9 * (CI * CO + 2 * CO * CO)),
    ("ipixel_transposed_conv", {}, 9 * CO * (CI + (CI + CO) + 2 * (CI + 2 * CO))),
    ("large_kernel_transposed_conv", {}, CI * CO * (49 + 9)),
    ("large_kernel_transposed_conv", {"kernel_size": 11}, CI * CO * (121 + 9)),
    ("equal_gain_transposed_conv", {}, CI * CO * 16),
    ("equal_gain_pixel_shuffle", {}, CI * CO * 4 * 9),
    ("deep_fourier_up", {}, 4 * CI * CI + CI * CO),
    ("bilinear", {}, CI * CO),
    ("haar", {}, CI * CO * 4),
    ("bilinear_additive", {}, CI * CO * 4),
]


@pytest.mark.parametrize(("name", "options", "expected"), COUNTS, ids=str)
def test_number_of_weights_without_biases(name, options, expected):
    upsampler = build(name, CI, CO, **options)
    assert sum(kernel.weight.numel() for kernel in upsampler.kernels()) == expected
    biases = [kernel.bias.numel() for kernel in upsampler.kernels() if kernel.bias is not None]
    assert sum(parameter.numel() for parameter in upsampler.parameters()) == expected + sum(biases)


@pytest.mark.parametrize(
    ("name", "channels"),
    [("bilinear", (4, 4)), ("haar", (8, 2)), ("bilinear_additive", (8, 2)), ("depthwise_transposed_conv", (4, 4))],
)
def test_no_channel_change_where_none_is_needed(name, channels):
    expected = channels[1] * 16 if name == "depthwise_transposed_conv" else 0
    assert sum(parameter.numel() for parameter in build(name, *channels).parameters()) == expected


def test_layers_hold_nothing_in_their_state_but_parameters():
    for name in (
        "equal_gain_transposed_conv",
        "smooth_conv",
        "nearest_conv",
        "bicubic",
        "haar",
        "pixel_transposed_conv",
    ):
        upsampler = build(name, 3, 2)
        assert set(upsampler.state_dict()) == {key for key, _ in upsampler.named_parameters()}


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("nearest_conv", {"kernel_size": 4}, "nearest_conv: kernel_size: expected an odd integer, got 4; use 3 or 5"),
        ("bilinear_conv", {"kernel_size": 2}, "bilinear_conv: kernel_size: expected an odd integer, got 2"),
        ("pixel_shuffle", {"kernel_size": 4}, "pixel_shuffle: kernel_size: expected an odd integer, got 4"),
        ("pixel_shuffle_blur", {"kernel_size": 2}, "pixel_shuffle_blur: kernel_size: expected an odd integer, got 2"),
        ("transposed_conv", {"scale": 1, "kernel_size": 4}, "kernel_size: expected an odd integer at scale 1, got 4"),
        ("hold_conv", {"scale": 1, "kernel_size": 2}, "kernel_size: expected an odd integer at scale 1, got 2; use 3"),
        ("hold_conv", {"kernel_size": 0}, "hold_conv: kernel_size: expected an integer from 1, got 0"),
        ("smooth_conv", {"order": -1}, "smooth_conv: order: expected an integer from 0, got -1"),
        ("separable_transposed_conv", {"kernel_size": 0}, "separable_transposed_conv: kernel_size: expected an"),
        ("large_kernel_transposed_conv", {"kernel_size": 6}, "kernel_size: expected an odd integer, got 6"),
        ("large_kernel_transposed_conv", {"scale": 8, "kernel_size": 7}, "expected an integer from 8, got 7"),
        ("pixel_transposed_conv", {"kernel_size": 1}, "pixel_transposed_conv: kernel_size: expected an integer from 3"),
        ("pixel_transposed_conv", {"scale": 3}, "pixel_transposed_conv: scale: expected one of 2, got 3"),
        ("ipixel_transposed_conv", {"spatial_dims": 3}, "ipixel_transposed_conv: spatial_dims: expected one of 2"),
        ("ipixel_transposed_conv", {"kernel_size": 2}, "ipixel_transposed_conv: kernel_size: expected an odd integer"),
        ("equal_gain_transposed_conv", {"scale": 3, "kernel_size": 2}, "at least 3 taps at stride 3 and order 0"),
        ("equal_gain_transposed_conv", {"order": 1, "kernel_size": 2}, "at least 3 taps at stride 2 and order 1"),
        ("equal_gain_transposed_conv", {"border": "same"}, "border: expected one of 'zeros', 'replicate', got 'same'"),
        ("equal_gain_transposed_conv", {"order": -1}, "equal_gain_transposed_conv: order: expected an integer from 0"),
        ("equal_gain_pixel_shuffle", {"order": 1, "kernel_size": 1}, "at least 3 taps at stride 2 and order 1"),
        ("equal_gain_pixel_shuffle", {"kernel_size": 4}, "equal_gain_pixel_shuffle: kernel_size: expected an odd"),
        ("equal_gain_pixel_shuffle", {"border": "same"}, "border: expected one of 'zeros', 'replicate', got 'same'"),
    ],
)  # fmt: skip
def test_wrong_options_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        build(name, 3, 2, **options)
