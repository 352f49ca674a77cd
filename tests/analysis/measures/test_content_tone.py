import math

import pytest
import torch

from checkerscope.analysis.measures.checkerboard_energy import checkerboard_energy
from checkerscope.analysis.measures.content_tone import content_tone
from checkerscope.toolkit.images import photos
from tests.builders import noise


def board(n):
    return torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64).repeat(n // 2, n // 2)


def random_signs(n):
    return noise(n, 1, 1, 1).sign()


@pytest.mark.parametrize("size", [16, 17, 40, 64])
def test_a_grid_of_changing_sign_is_recovered(size):
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(8).reshape(16, 1, 1, 1)
    images = 0.2 * signs * board(size + 1)[:size, :size]
    assert content_tone(images, 2) == pytest.approx(0.2, rel=1e-6)
    assert checkerboard_energy(images, 2) == pytest.approx(0, abs=1e-9)


def test_a_fixed_grid_is_no_content_tone():
    assert content_tone(0.2 * board(32).expand(8, 3, 32, 32), 2) == pytest.approx(0, abs=1e-6)


def test_a_grid_that_follows_slow_content_is_found_in_noise():
    slow = torch.nn.functional.interpolate(noise(64, 1, 3, 3), size=(64, 64), mode="bicubic")
    images = 0.1 * slow * board(64) + 0.2 * noise(64, 1, 64, 64, seed=2)
    expected = 0.1 * float(slow.square().mean().sqrt())
    assert content_tone(images, 2) == pytest.approx(expected, rel=0.15)


def test_noise_reads_far_less_than_a_grid_of_its_size():
    assert content_tone(noise(64, 1, 64, 64), 2) < 0.02


def test_an_injected_content_tone_in_photographs_is_recovered_when_paired():
    images = photos.load("test", 64, images=64).double()
    local = torch.nn.functional.avg_pool2d(images, 17, 1, 8) - 0.5
    assert content_tone(images + 0.05 * local * board(64) - images, 2) == pytest.approx(
        0.05 * float((local - local.mean(0)).square().mean().sqrt()), rel=0.35
    )


def test_constants_read_zero():
    assert content_tone(torch.full((2, 1, 32, 32), 0.5), 2) == pytest.approx(0, abs=1e-9)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="from 16"):
        content_tone(torch.zeros(1, 1, 12, 16), 4)
    with pytest.raises(ValueError, match="not finite"):
        content_tone(torch.full((1, 1, 16, 16), math.nan), 2)
