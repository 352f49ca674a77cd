"""Reconstructions are shown pixel for pixel: a resampled checkerboard vanishes, or appears."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib import image as pictures

from checkerscope.analysis.figures import reconstructions
from checkerscope.analysis.figures.reconstructions import CROP, CROP_SIDE, WHOLE
from checkerscope.analysis.records import Records


def checkerboard(side: int) -> np.ndarray:
    h, w = np.mgrid[:side, :side]
    return np.repeat((255 * ((h + w) % 2)).astype(np.uint8)[..., None], 3, axis=2)


def records(side: int) -> Records:
    grey = np.full((1, side, side, 3), 128, np.uint8)
    arrays = {f"arm/end/{need}": grey for need in reconstructions.NEEDS}
    arrays[f"arm/end/{reconstructions.NEEDS[0]}"] = checkerboard(side)[None]
    runs = pd.DataFrame([{"run": "0" * 12, "arm": "arm", "seed": 0, "status": "done", "steps": 1}])
    return Records(runs, pd.DataFrame(columns=["run", "step", "metric", "value"]), arrays)


@pytest.mark.parametrize("side", [16, 24, 32, 64])
def test_every_pixel_of_a_checkerboard_is_drawn_as_a_square_of_its_own(side: int) -> None:
    figure = reconstructions.draw(records(side))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=figure.dpi)
    buffer.seek(0)
    drawn = np.rint(pictures.imread(buffer)[..., :3] * 255).astype(np.uint8)
    assert contains(drawn, reconstructions.magnify(checkerboard(side), WHOLE))
    crop = checkerboard(min(side, CROP_SIDE))
    assert contains(drawn, reconstructions.magnify(crop, CROP)) or contains(
        drawn, reconstructions.magnify(255 - crop, CROP)
    )


def contains(picture: np.ndarray, part: np.ndarray) -> bool:
    """Return whether `part` occurs in `picture`, every pixel alike."""
    rows, columns = part.shape[:2]
    places = np.argwhere((picture[: -rows + 1, : -columns + 1] == part[0, 0]).all(axis=2))
    return any(np.array_equal(picture[h : h + rows, w : w + columns], part) for h, w in places)


def test_the_crop_is_the_flattest_part() -> None:
    picture = checkerboard(64)
    picture[24:52, 20:48] = 7
    h, w = reconstructions.flattest(picture)
    assert (picture[h : h + CROP_SIDE, w : w + CROP_SIDE] == 7).all()
