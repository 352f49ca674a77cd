import math

import pytest
import torch
from torch.nn import functional as F

from checkerscope.analysis.measures.overlap_map import overlap_map, overlap_ratio, weight_overlap
from checkerscope.analysis.measures.phase_gain import phase_gain
from checkerscope.toolkit import catalog

#: max / min of the interior counts in 1-D and 2-D: Odena et al.'s maps.
ORACLE = [
    ([(3, 2)], 2, 4),
    ([(3, 2)] * 2, 3, 9),
    ([(3, 2)] * 3, 5, 25),
    ([(3, 2), (3, 2), (3, 1)], 4 / 3, 16 / 9),
    ([(3, 2), (3, 2), (4, 1)], 1, 1),
    ([(5, 2)], 1.5, 2.25),
    ([(4, 2), (3, 2)], 2, 4),
    ([(3, 2), (4, 2)], 1, 1),  # a flat last kernel divisible by the accumulated stride kills earlier tones
    ([(4, 2)], 1, 1),
    ([(2, 2)], 1, 1),
]


@pytest.mark.parametrize(("layers", "one", "two"), ORACLE)
def test_the_overlap_table(layers, one, two):
    assert overlap_ratio(overlap_map(layers, spatial_dims=1)) == pytest.approx(one)
    assert overlap_ratio(overlap_map(layers, spatial_dims=2)) == pytest.approx(two)


@pytest.mark.parametrize("layers", [layers for layers, _, _ in ORACLE] + [[(5, 3), (3, 2), (2, 1)], [(1, 2)], [(7, 4)]])
def test_counts_are_those_of_transposed_convolutions_of_ones(layers):
    x = torch.ones(1, 1, 40, dtype=torch.float64)
    for kernel_size, stride in layers:
        x = F.conv_transpose1d(x, torch.ones(1, 1, kernel_size, dtype=torch.float64), stride=stride)
    period = math.prod(stride for _, stride in layers)
    middle = x.shape[-1] // 2 // period * period
    torch.testing.assert_close(x[0, 0, middle : middle + period], overlap_map(layers, spatial_dims=1))


#: (kernel, stride): max / min in 2-D of the gradient that reaches a pixel.
BACKWARD = [((3, 2), 4), ((4, 2), 1), ((2, 2), 1), ((5, 2), 9 / 4), ((7, 2), 16 / 9)]


@pytest.mark.parametrize(("layer", "ratio"), BACKWARD)
def test_the_gradient_overlap_table(layer, ratio):
    assert overlap_ratio(overlap_map([layer], backward=True)) == pytest.approx(ratio)


def test_a_strided_pointwise_convolution_leaves_three_quarters_without_gradient():
    counts = overlap_map([(1, 2)], backward=True)
    assert (counts == 0).double().mean() == 0.75
    assert overlap_ratio(counts) == math.inf


@pytest.mark.parametrize("layers", [[(3, 2)], [(3, 2), (5, 3)], [(4, 2), (3, 1), (3, 2)]])
def test_backward_counts_are_the_gradient_of_convolutions_of_ones(layers):
    x = torch.ones(1, 1, 200, dtype=torch.float64, requires_grad=True)
    y = x
    for kernel_size, stride in layers:
        y = F.conv1d(y, torch.ones(1, 1, kernel_size, dtype=torch.float64), stride=stride)
    y.sum().backward()
    period = math.prod(stride for _, stride in layers)
    middle = 100 // period * period
    expected = overlap_map(layers, spatial_dims=1, backward=True)
    torch.testing.assert_close(x.grad[0, 0, middle : middle + period], expected)


def test_three_axes():
    assert overlap_map([(3, 2)], spatial_dims=3).shape == (2, 2, 2)
    assert overlap_ratio(overlap_map([(3, 2)], spatial_dims=3)) == 8


def test_weights_of_ones_are_counts():
    layer = catalog.load("checkerscope.toolkit.upsamplers", "transposed_conv")(3, 2, kernel_size=3)
    with torch.no_grad():
        for kernel in layer.kernels():
            kernel.weight.fill_(-1)
    weights = weight_overlap(layer)
    assert sorted(weights.flatten().tolist()) == [3, 6, 6, 12]
    # three channels of ones: the phase gains are the counts
    mean, square = 9 / 4, 25 / 4
    assert phase_gain(layer) == pytest.approx(1 - mean**2 / square)


@pytest.mark.parametrize("name", ["nearest", "bilinear", "nearest_conv", "bilinear_conv"])
def test_convex_upsamplers_have_equal_phase_gains(name):
    torch.manual_seed(0)
    assert phase_gain(catalog.load("checkerscope.toolkit.upsamplers", name)(3, 2)) == pytest.approx(0, abs=1e-12)


def test_dynamic_upsamplers_are_refused():
    layer = catalog.load("checkerscope.toolkit.upsamplers", "max_unpool")(2, 2)
    with pytest.raises(ValueError, match=r"context|linear"):
        phase_gain(layer)
    with pytest.raises(ValueError, match=r"context|linear"):
        weight_overlap(layer)


@pytest.mark.parametrize(
    ("layers", "dims", "message"),
    [
        ([], 2, "layers: expected at least one"),
        ([(0, 2)], 2, "kernel_size: expected an integer from 1, got 0"),
        ([(3, 1.5)], 2, "stride: expected an integer from 1, got 1.5"),
        ([(3, 2)], 0, "spatial_dims: expected an integer from 1"),
    ],
)
def test_bad_input_is_refused(layers, dims, message):
    with pytest.raises(ValueError, match=message):
        overlap_map(layers, spatial_dims=dims)
