"""Size arithmetic and the solver, against torch."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from checkerscope.toolkit.contracts.upsampler import exact_padding
from checkerscope.toolkit.geometry import Axis, convolution_size, solve
from checkerscope.toolkit.geometry.overlap import line_counts, phase_counts


def torch_size(axis: Axis, length: int) -> int:
    layer = nn.ConvTranspose1d(
        1, 1, axis.kernel_size, axis.stride, axis.padding, axis.output_padding, dilation=axis.dilation, bias=False
    )
    with torch.no_grad():
        return layer(torch.zeros(1, 1, length)).shape[2]


def axes() -> list[Axis]:
    grid = itertools.product(range(1, 6), range(1, 4), range(4), range(3), (1, 2, 3))
    return [Axis(k, s, p, op, d) for k, s, p, op, d in grid if op < max(s, d)]


def test_sizes_agree_with_torch() -> None:
    checked = 0
    for axis in axes():
        for length in (1, 2, 5):
            if (length - 1) * axis.stride - 2 * axis.padding + axis.extent + axis.output_padding < 1:
                with pytest.raises(ValueError, match="output size: expected at least 1"):
                    axis.output_size(length)
                continue
            assert axis.output_size(length) == torch_size(axis, length)
            checked += 1
    assert checked > 500


def test_the_sizes_of_the_founding_article() -> None:
    assert Axis(3, 2, 1).output_size(4) == 7  # the article says 8
    assert Axis(3, 2, 1, 1).output_size(4) == 8
    assert Axis(4, 2, 1).formula(4) == "(4 - 1) * 2 - 2 * 1 + 1 * (4 - 1) + 0 + 1 = 8"


def test_exact_means_exact_for_every_length() -> None:
    for axis in axes():
        assert axis.is_exact == all(axis.output_size(n) == axis.stride * n for n in (8, 9, 13))


def test_convolution_and_pooling_sizes_agree_with_torch() -> None:
    for k, s, p, d, n in itertools.product((1, 2, 3, 4), (1, 2, 3), (0, 1), (1, 2), range(7, 13)):
        layer = nn.Conv1d(1, 1, k, s, p, d)
        assert convolution_size(n, k, stride=s, padding=p, dilation=d) == layer(torch.zeros(1, 1, n)).shape[2]
        if 2 * p <= k:
            pool = nn.MaxPool1d(k, s, p, d, ceil_mode=True)
            size = convolution_size(n, k, stride=s, padding=p, dilation=d, ceil=True)
            assert size == pool(torch.zeros(1, 1, n)).shape[2]


@pytest.mark.parametrize(("n", "m"), [(16, 32), (7, 15), (1, 4), (5, 5), (8, 24), (10, 33), (4, 7)])
def test_every_solution_solves_and_the_most_even_comes_first(n: int, m: int) -> None:
    found = solve(n, m)
    assert len(set(found)) == len(found)
    assert all(torch_size(axis, n) == m for axis in found[:20])
    ratios = [axis.overlap_ratio() for axis in found]
    assert ratios == sorted(ratios)
    assert found[0].bare_outputs == 0


def test_nothing_is_missed() -> None:
    found = {a for a in solve(6, 13, stride=2) if a.kernel_size <= 5}
    every = {
        Axis(k, 2, p, op)
        for k, op in itertools.product(range(1, 6), range(2))
        for p in range(k)
        if 5 * 2 - 2 * p + k + op == 13
    }
    assert found == every


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
def test_exact_scales_hold_for_every_length(scale: int) -> None:
    found = solve(7, scale=scale)
    assert found
    for axis in found:
        assert axis.is_exact
        assert axis.stride == scale
    best = found[0]
    assert best.overlap_ratio() == 1
    assert (best.kernel_size, best.padding, best.output_padding) == (scale, 0, 0)


def test_the_contract_of_the_upsamplers_is_among_the_solutions() -> None:
    for k, s, d in itertools.product(range(1, 7), range(2, 5), (1, 2)):
        padding, output_padding = exact_padding(k, s, d)
        assert Axis(k, s, padding, output_padding, d).is_exact
        if padding <= d * (k - 1):
            assert Axis(k, s, padding, output_padding, d) in solve(9, scale=s, kernel_size=k, dilation=d)


def test_taps_per_phase_are_the_interior_counts() -> None:
    for axis in axes():
        assert axis.taps_per_phase == tuple(phase_counts([axis]).tolist())


def test_bare_outputs_get_no_tap() -> None:
    for axis in axes():
        if min(axis.taps_per_phase) and axis.dilation == 1:  # dilation leaves gaps before the end too
            line = line_counts([axis], 9)
            assert axis.bare_outputs == np.argmax(line[::-1] > 0)


@pytest.mark.parametrize(
    ("axis", "why"),
    [
        (Axis(4, 2), "even: 4 is a multiple of 2, so every output gets 2 per axis"),
        (Axis(3, 2), "uneven: 3 is no multiple of 2, so outputs get 2 or 1 taps per axis"),
        (Axis(2, 3), r"holes: the kernel \(2\) is shorter than the stride \(3\), so 1 of 3 outputs"),
        (Axis(4, 2, dilation=2), "holes: dilation 2 and stride 2 share a factor, so 1 of 2 outputs"),
        (Axis(5, 1), "even: stride 1 has a single phase"),
    ],
)
def test_the_reason_is_given(axis: Axis, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        raise ValueError(axis.why())


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (lambda: Axis(0), "kernel_size: expected an integer from 1, got 0"),
        (lambda: Axis(3, 0), "stride: expected an integer from 1, got 0"),
        (lambda: Axis(3, 2, -1), "padding: expected an integer from 0, got -1"),
        (lambda: Axis(3, 2, 0, 2), r"output_padding: expected less than stride or dilation \(2\), got 2"),
        (lambda: Axis(3, 2, 0, 0, 0), "dilation: expected an integer from 1, got 0"),
        (lambda: Axis(3).output_size(0), "input size: expected an integer from 1, got 0"),
        (lambda: Axis(3, 1, 4).output_size(3), "expected at least 1, got -3; use a padding of at most 2"),
        (lambda: convolution_size(3, 5), "as long as the kernel, got 3 .* extent 5"),
        (lambda: solve(16), "an output size or a scale, got neither"),
        (lambda: solve(16, 32, scale=2), "an output size or a scale, got both"),
        (lambda: solve(16, scale=1.5), "scale: expected an integer from 1, got 1.5; a stride is whole"),
        (lambda: solve(16, 8), "output size: expected at least the input size, 16, got 8; shrink by a convolution"),
        (lambda: solve(16, scale=2, stride=3), "stride: expected the scale, 2, which is the only exact one, got 3"),
        (lambda: solve(16, 100, kernel_size=3, stride=2), "kernel 3 and stride 2 can make of 16, got 100; nearest: 34"),
        (lambda: solve(16, scale=1, kernel_size=2), "kernel 2 and stride 1 .* got 16; nearest: 15 or 17"),
        (lambda: solve(100, 150), "kernel 1 to 9 and stride 1 to 3 can make of 100, got 150; nearest: 108"),
        (lambda: solve(16, 32, kernel_size=0), "kernel_size: expected an integer from 1, got 0"),
        (lambda: solve(16, 32, stride=-1), "stride: expected an integer from 1, got -1"),
        (lambda: solve(16, 32, dilation=0), "dilation: expected an integer from 1, got 0"),
    ],
)
def test_impossible_requests_are_refused(request_: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        request_()


def test_the_nearest_sizes_of_a_refusal_are_reachable() -> None:
    for kernel_size, stride, goal in itertools.product((1, 2, 3, 5), (1, 2, 3), range(16, 64)):
        try:
            solve(16, goal, kernel_size=kernel_size, stride=stride)
        except ValueError as error:
            nearest = str(error).partition("nearest: ")[2].partition(";")[0].split(" or ")
            for size in map(int, nearest):
                if size >= 16:
                    assert solve(16, size, kernel_size=kernel_size, stride=stride)
