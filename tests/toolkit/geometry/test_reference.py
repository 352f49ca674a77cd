"""The teaching transposed convolution against torch's, over all parameters."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from checkerscope.toolkit.geometry.reference import pad_ends, transposed_convolution

TORCH = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def draw(seed: int, dims: int) -> tuple[Tensor, Tensor, Tensor, dict[str, object]]:
    r = np.random.default_rng([seed, dims])
    groups, most = int(r.integers(1, 4)), {1: 6, 2: 5, 3: 3}[dims]
    stride, dilation = (r.integers(1, 4, dims).tolist() for _ in range(2))
    parameters = {
        "stride": stride,
        "padding": r.integers(0, 4, dims).tolist(),
        "output_padding": [int(r.integers(max(s, d))) for s, d in zip(stride, dilation, strict=True)],
        "groups": groups,
        "dilation": dilation,
    }
    c_in, c_out = groups * r.integers(1, 4), r.integers(1, 4)
    kernel, spatial = r.integers(1, most, dims), r.integers(2, most + 2, dims)
    x, weight = r.standard_normal((2, c_in, *spatial)), r.standard_normal((c_in, c_out, *kernel))
    bias = r.standard_normal(c_out * groups)
    return torch.from_numpy(x), torch.from_numpy(weight), torch.from_numpy(bias), parameters


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_equal_to_torch_over_all_parameters(dims: int) -> None:
    checked = 0
    for seed in range(28):
        x, weight, bias, parameters = draw(seed, dims)
        try:
            expected = TORCH[dims](x, weight, bias, **parameters)
        except RuntimeError:
            with pytest.raises(ValueError, match="output size: expected at least 1"):
                transposed_convolution(x, weight, bias, **parameters)
            continue
        found = transposed_convolution(x, weight, bias, **parameters)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
        checked += 1
    assert checked >= 12


def test_the_example_that_the_founding_article_gets_wrong() -> None:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(1, 4, 5, 6, dtype=torch.float64, generator=g)
    weight = torch.randn(4, 3, 3, 5, dtype=torch.float64, generator=g)
    parameters = {"stride": (2, 3), "padding": (1, 4), "output_padding": (1, 2), "dilation": (2, 1), "groups": 2}
    expected = F.conv_transpose2d(x, weight, **parameters)
    torch.testing.assert_close(transposed_convolution(x, weight, **parameters), expected, rtol=0, atol=1e-12)


def test_it_is_the_adjoint_of_the_convolution() -> None:
    g = torch.Generator().manual_seed(0)
    x, y = (torch.randn(1, c, n, n, dtype=torch.float64, generator=g) for c, n in ((3, 9), (5, 5)))
    weight = torch.randn(5, 3, 3, 3, dtype=torch.float64, generator=g)
    forward = F.conv2d(x, weight, stride=2, padding=1)
    back = transposed_convolution(y, weight, stride=2, padding=1)
    torch.testing.assert_close((forward * y).sum(), (x * back).sum(), rtol=1e-12, atol=1e-12)


def test_cuts_may_exceed_the_axis() -> None:
    line = torch.arange(4.0).reshape(1, 1, 4)
    assert pad_ends(line, [(-6, 4)]).tolist() == [[[0.0, 0.0]]]
    assert pad_ends(line, [(-3, -1)]).shape == (1, 1, 0)


@pytest.mark.parametrize(
    ("x", "weight", "options", "message"),
    [
        ((1, 2, 4), (2, 1, 3, 3), {}, r"input and weight: expected shapes .* got \(1, 2, 4\) and \(2, 1, 3, 3\)"),
        ((1, 2, 4), (3, 1, 3), {}, r"weight: expected 2 input channels on its first axis, got \(3, 1, 3\)"),
        ((1, 3, 4), (3, 1, 3), {"groups": 2}, "groups: expected a divisor of the 3 input channels, got 2"),
        ((1, 2, 4), (2, 1, 3), {"stride": (2, 2)}, r"parameter: expected one number or 1, got \(2, 2\)"),
        ((1, 2, 4), (2, 1, 3), {"output_padding": 1}, "output_padding: expected less than stride or dilation"),
        ((1, 2, 4), (2, 1, 3), {"padding": 9}, "output size: expected at least 1, got -12"),
    ],
)
def test_bad_input(x: tuple[int, ...], weight: tuple[int, ...], options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        transposed_convolution(torch.zeros(x), torch.zeros(weight), **options)
