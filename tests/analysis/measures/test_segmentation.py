"""IoU and boundary IoU: known answers, an independent count, and what the trial makes of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from checkerscope.analysis.measures.segmentation import measure, segmentation
from checkerscope.analysis.trial import Trial


def square(size: int, low: int, high: int) -> Tensor:
    image = torch.zeros(1, size, size, dtype=torch.int64)
    image[:, low:high, low:high] = 1
    return image


def random_labels(seed: int, classes: int = 4) -> Tensor:
    rough = np.random.default_rng(seed).integers(0, classes, (3, 6, 7))
    return torch.from_numpy(rough.repeat(5, axis=1).repeat(4, axis=2))


def test_perfect_is_one_and_absent_is_undefined() -> None:
    truth = square(12, 3, 8)
    assert segmentation(truth, truth, classes=2).tolist() == [1, 1]
    assert segmentation(truth, truth, classes=2, distance=1).tolist() == [1, 1]
    assert math.isnan(segmentation(truth, truth, classes=3)[2])


def test_a_shifted_square_has_its_known_overlap() -> None:
    truth, predicted = square(20, 4, 10), square(20, 4, 10).roll(2, 1)
    # 6 x 6 squares, 2 rows apart: 24 in common, 48 in all
    assert segmentation(predicted, truth, classes=2)[1] == pytest.approx(24 / 48)


def test_a_boundary_of_known_size() -> None:
    truth, hollow = square(20, 4, 12), square(20, 4, 12)
    hollow[:, 6:10, 6:10] = 0  # the inside, two pixels from the edge, is lost
    assert segmentation(hollow, truth, classes=2)[1] == pytest.approx(48 / 64)
    # within one pixel: the outer ring of 28 in both; the prediction adds its inner edge, a ring of 20
    assert segmentation(hollow, truth, classes=2, distance=1)[1] == pytest.approx(28 / 48)


def test_the_border_of_the_image_is_no_boundary() -> None:
    truth = torch.zeros(1, 9, 9, dtype=torch.int64)
    truth[:, :, 5:] = 1
    predicted = truth.clone()
    predicted[:, 0, 8] = 0  # far from the edge between the classes
    assert segmentation(truth, truth, classes=2, distance=2).tolist() == [1, 1]
    one = segmentation(predicted, truth, classes=2, distance=1)[1]
    assert one == pytest.approx(9 / 12)  # the new edge around the corner pixel: 3 pixels


@pytest.mark.parametrize("distance", [None, 1, 2, 3])
def test_agrees_with_an_independent_count(distance: int | None) -> None:
    predicted, truth = random_labels(0), random_labels(1)
    found = segmentation(predicted, truth, classes=4, distance=distance)
    for k in range(4):
        masks = [(labels == k).numpy() for labels in (predicted, truth)]
        if distance is not None:
            block = np.ones((1, 2 * distance + 1, 2 * distance + 1))
            masks = [m & ~ndimage.binary_erosion(m, block, border_value=1) for m in masks]
        both, either = (masks[0] & masks[1]).sum(), (masks[0] | masks[1]).sum()
        assert found[k] == pytest.approx(both / either)


def test_one_and_three_axes() -> None:
    line = torch.tensor([[0, 0, 1, 1, 1, 0]])
    assert segmentation(line, line, classes=2, distance=1).tolist() == [1, 1]
    cube = square(6, 2, 4)[:, None].repeat(1, 4, 1, 1)
    assert segmentation(cube, cube, classes=2, distance=1).tolist() == [1, 1]


def trial(reconstruction: Tensor, target: Tensor) -> Trial:
    return Trial(torch.nn.Identity(), target, reconstruction, 2, 4, 8)


def test_the_trial_reads_masks_and_scores() -> None:
    truth = random_labels(1)
    target = F.one_hot(truth, 4).movedim(-1, 1).float()
    perfect = measure(trial(5 * target - 2, target))  # any scores: the largest wins
    assert perfect == {"segmentation.iou": 1, "segmentation.boundary_iou": 1, "segmentation.accuracy": 1}
    scores = F.one_hot(random_labels(0), 4).movedim(-1, 1).float()
    found = measure(trial(scores, target))
    assert found["segmentation.iou"] == pytest.approx(float(segmentation(random_labels(0), truth, classes=4).mean()))
    assert found["segmentation.accuracy"] == pytest.approx(float((random_labels(0) == truth).double().mean()))


def test_pictures_are_no_masks() -> None:
    pictures = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert all(math.isnan(value) for value in measure(trial(pictures, pictures)).values())


@pytest.mark.parametrize(
    ("predicted", "options", "message"),
    [
        (torch.zeros(1, 4, 4, dtype=torch.int64), {}, r"predicted: expected shape \(1, 5, 5\).* got \(1, 4, 4\)"),
        (torch.full((1, 5, 5), 2), {}, "predicted: expected integer classes from 0 to 1, got torch.int64 from 2 to 2"),
        (torch.zeros(1, 5, 5), {}, "predicted: expected integer classes from 0 to 1, got torch.float32"),
        (torch.zeros(1, 5, 5, dtype=torch.int64), {"distance": 0}, "distance: expected an integer from 1, got 0"),
        (torch.zeros(1, 5, 5, dtype=torch.int64), {"classes": 0}, "classes: expected an integer from 1, got 0"),
    ],
)
def test_bad_input(predicted: Tensor, options: dict[str, int], message: str) -> None:
    truth = torch.zeros(1, 5, 5, dtype=torch.int64)
    with pytest.raises(ValueError, match=message):
        segmentation(predicted, truth, **({"classes": 2} | options))
