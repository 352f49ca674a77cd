import math

import pytest
import torch

from checkerscope.analysis.measures.detectability import area_under_curve, detectability
from checkerscope.toolkit.images import photos
from tests.builders import noise


@pytest.fixture(scope="module")
def photographs():
    return photos.load("test", 32, images=60)


@pytest.mark.parametrize("rings", [False, True])
def test_equal_images_cannot_be_told_apart(photographs, rings):
    assert detectability(photographs, photographs, rings=rings) == 0.5


@pytest.mark.parametrize("rings", [False, True])
def test_images_of_the_same_kind_cannot_be_told_apart(rings):
    areas = [
        detectability(noise(40, 1, 16, 16, seed=s), noise(40, 1, 16, 16, seed=s + 50), rings=rings) for s in range(12)
    ]
    assert sum(areas) / len(areas) == pytest.approx(0.5, abs=0.06)


def test_a_board_is_detected_at_once_and_a_weaker_one_less(photographs):
    board = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(16, 16)
    strong, weak = (detectability(photographs + a * board, photographs) for a in (0.05, 0.0005))
    assert strong > 0.95
    assert weak < strong


def test_the_area_is_mann_whitney():
    assert area_under_curve(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])) == 0.0
    assert area_under_curve(torch.ones(3), torch.ones(4)) == 0.5


def test_few_images_are_not_enough():
    assert math.isnan(detectability(noise(9, 1, 8, 8), noise(9, 1, 8, 8)))


def test_constant_images_are_defined():
    flat = torch.full((10, 1, 8, 8), 0.5)
    assert 0 <= detectability(flat, flat) <= 1


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"images: expected shape \(10, 1, 8, 9\)"):
        detectability(noise(10, 1, 8, 8), noise(10, 1, 8, 9))
    with pytest.raises(ValueError, match="not finite"):
        detectability(torch.full((10, 1, 8, 8), math.nan), noise(10, 1, 8, 8))
