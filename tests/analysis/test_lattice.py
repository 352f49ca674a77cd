"""Where a grid puts its lines, and what stands above the background there."""

import pytest
import torch

from checkerscope.analysis import lattice


def test_lattice_has_every_line_but_zero():
    assert lattice.lines((12,), 3) == [(4,), (8,)]
    assert len(lattice.lines((16, 32, 16), 4)) == 63
    assert lattice.lines((16, 16), 1) == []


@pytest.mark.parametrize("shape", [(16,), (16, 24), (8, 12, 16)])
@pytest.mark.parametrize("period", [1, 2, 4])
def test_a_flat_background_leaves_no_excess(shape, period):
    if min(shape) < 4 * period:
        pytest.skip("too few periods")
    excess = lattice.excess(torch.ones(3, *shape, dtype=torch.float64), period)
    assert excess.shape == (3, period ** len(shape) - 1)
    assert excess.abs().sum() < 1e-12


def test_excess_is_the_line_above_its_neighbours_whatever_stands_in_the_guard():
    power = torch.ones(1, 32, 32, dtype=torch.float64)
    power[0, 16, 16] = 5
    power[0, 15:18, 15:18] += 1  # what the window spreads is not background
    power[0, 0, 0] = 1e9
    assert lattice.excess(power, 2)[0].tolist() == pytest.approx([0, 0, 5])


@pytest.mark.parametrize(
    ("shape", "period", "message"),
    [((15, 16), 2, r"multiples of 2, from 8, got \(15, 16\)"), ((12, 16), 4, "multiples of 4, from 16")],
)
def test_sides_without_four_whole_periods_are_refused(shape, period, message):
    with pytest.raises(ValueError, match=message):
        lattice.excess(torch.ones(1, *shape), period)
