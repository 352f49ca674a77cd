"""Phase cells and means, and the share of a power that varies over phases."""

import pytest
import torch

from checkerscope.analysis import phases


def test_cells_are_the_image_cut_up():
    x = torch.rand(2, 3, 12, 10, generator=torch.Generator().manual_seed(0))
    cells = phases.phase_cells(x, (4, 5))
    assert cells.shape == (2, 3, 3, 4, 2, 5)
    assert torch.equal(cells[:, :, 1, 2, 1, 3], x[:, :, 6, 8].double())
    assert phases.over_cells(cells) == (2, 4)


def test_means_are_those_of_every_phase():
    x = torch.rand(1, 2, 9, 13, generator=torch.Generator().manual_seed(0))
    means = phases.phase_means(x, (2, 3))
    assert means.shape == (1, 2, 2, 3)
    for row in range(2):
        for column in range(3):
            expected = x[..., row:8:2, column:12:3].double().mean((2, 3))
            assert means[..., row, column] == pytest.approx(expected.numpy())


def test_the_alternating_share_is_that_of_the_transform():
    values = torch.rand(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    power = torch.fft.fft(values).abs().square()
    assert phases.alternating_share(values) == pytest.approx(float(power[:, 1:].sum() / power.sum()))
    assert phases.alternating_share(torch.zeros(2, 4)) == 0.0


def test_an_image_smaller_than_a_cell_is_refused():
    with pytest.raises(ValueError, match=r"images: expected sides from 4 x 9 for period 4 x 9, margin 0, got \(8, 8\)"):
        phases.phase_means(torch.zeros(1, 1, 8, 8), (4, 9))
