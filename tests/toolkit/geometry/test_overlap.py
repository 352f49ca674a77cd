"""Overlap counts: the published values, torch's own counts, and the drawings."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from checkerscope.toolkit.geometry import Axis
from checkerscope.toolkit.geometry.overlap import drawing, gradient_map, line_counts, phase_counts, ratio, spread


def chain(*layers: tuple[int, int]) -> list[Axis]:
    return [Axis(k, s) for k, s in layers]


ORACLE = [  # largest over smallest count, in one and two dimensions; Odena et al. 2016
    ([(3, 2)], 2, 4),
    ([(3, 2), (3, 2)], 3, 9),
    ([(3, 2), (3, 2), (3, 2)], 5, 25),
    ([(3, 2), (3, 2), (3, 1)], 4 / 3, 16 / 9),
    ([(3, 2), (3, 2), (4, 1)], 1, 1),
    ([(5, 2)], 1.5, 2.25),
    ([(4, 2)], 1, 1),
    ([(4, 2), (3, 2)], 2, 4),
    ([(3, 2), (4, 2)], 1, 1),  # a kernel divisible by the accumulated stride removes earlier unevenness
    ([(2, 3)], np.inf, np.inf),
]


@pytest.mark.parametrize(("layers", "line", "plane"), ORACLE)
def test_published_overlap_ratios(layers: list[tuple[int, int]], line: float, plane: float) -> None:
    counts = phase_counts(chain(*layers))
    assert ratio(counts) == pytest.approx(line)
    assert ratio(spread(counts)) == pytest.approx(plane)


GRADIENTS = [  # of a strided convolution, in two dimensions
    ((3, 2), 4.0),
    ((4, 2), 1.0),
    ((2, 2), 1.0),
    ((5, 2), 9 / 4),
    ((7, 2), 16 / 9),
]


@pytest.mark.parametrize(("layer", "expected"), GRADIENTS)
def test_gradient_overlap(layer: tuple[int, int], expected: float) -> None:
    assert ratio(spread(phase_counts(chain(layer), gradient=True))) == pytest.approx(expected)


def test_gradient_overlap_has_the_published_spread_and_holes() -> None:
    counts = spread(phase_counts(chain((3, 2)), gradient=True))
    assert counts.std() / counts.mean() == pytest.approx(0.485, abs=1e-3)
    assert np.mean(spread(phase_counts(chain((1, 2)), gradient=True)) == 0) == 0.75


def test_max_pooling_leaves_holes_in_the_gradient() -> None:
    x = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    assert (gradient_map(nn.MaxPool2d(2), x) == 0).float().mean() == 0.75
    assert set(gradient_map(nn.MaxPool2d(3, 2), x).unique().tolist()) == {0, 1, 2, 3, 4}


def ones(axis: Axis, kind: type[nn.Module]) -> nn.Module:
    extra = {"output_padding": axis.output_padding} if kind is nn.ConvTranspose1d else {}
    layer = kind(
        1, 1, axis.kernel_size, axis.stride, axis.padding, dilation=axis.dilation, bias=False, **extra
    ).double()
    nn.init.ones_(layer.weight)
    return layer


def random_chains(seed: int, count: int) -> list[list[Axis]]:
    generator = np.random.default_rng(seed)
    grid = itertools.product(range(1, 6), range(1, 4), range(3), range(2), (1, 2))
    pool = [Axis(k, s, p, op, d) for k, s, p, op, d in grid if op < max(s, d) and p <= d * (k - 1)]
    picks = [generator.integers(len(pool), size=generator.integers(1, 4)) for _ in range(count)]
    return [[pool[i] for i in pick] for pick in picks]


def test_forward_counts_are_torchs_transposed_convolutions_of_ones() -> None:
    for layers in random_chains(seed=1, count=60):
        network = nn.Sequential(*(ones(axis, nn.ConvTranspose1d) for axis in layers))
        try:
            counts = line_counts(layers, 6)
        except ValueError:
            continue
        with torch.no_grad():
            expected = network(torch.ones(1, 1, 6, dtype=torch.float64)).flatten().long()
        assert counts.tolist() == expected.tolist()


def test_gradient_counts_are_torchs_gradients() -> None:
    checked = 0
    for layers in random_chains(seed=2, count=60):
        network = nn.Sequential(*(ones(axis, nn.Conv1d) for axis in layers))
        try:
            counts = line_counts(layers, 40, gradient=True)
        except ValueError:
            continue
        expected = gradient_map(network, torch.zeros(1, 1, 40, dtype=torch.float64))
        assert counts.tolist() == expected.flatten().long().tolist()
        checked += 1
    assert checked > 30


@pytest.mark.parametrize("gradient", [False, True])
def test_the_middle_of_a_long_line_is_periodic(gradient: bool) -> None:
    for layers in random_chains(seed=3, count=30):
        period = phase_counts(layers, gradient=gradient)
        line = line_counts([Axis(a.kernel_size, a.stride, dilation=a.dilation) for a in layers], 400, gradient=gradient)
        middle = line[len(line) // 2 :][: len(period)]
        assert sorted(middle.tolist()) == sorted(period.tolist())


def test_drawings_are_plain_text() -> None:
    assert drawing(np.array([0, 1, 12])).splitlines() == ["12 |  #", " 1 | ##", "   +---"]
    plane = drawing(spread(line_counts([Axis(3, 2)], 2)))
    assert plane.splitlines()[0] == "....++...."
    assert plane.splitlines()[-1] == "'.' 1   '+' 2   '@' 4"
    assert plane.isascii()
    with pytest.raises(ValueError, match="drawing: expected counts with one or two axes, got 3"):
        drawing(spread(np.array([1, 2]), 3))


def test_bad_requests() -> None:
    for call in (lambda: phase_counts([]), lambda: line_counts([], 4)):
        with pytest.raises(ValueError, match=r"layers: expected at least one \(kernel_size, stride\), got none"):
            call()
    with pytest.raises(ValueError, match="length: expected an integer from 1, got 0"):
        line_counts([Axis(3)], 0)
    with pytest.raises(ValueError, match="spatial_dims: expected an integer from 1, got 0"):
        spread(np.array([1]), 0)
