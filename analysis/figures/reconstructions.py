"""Reconstructions side by side with a magnified crop, pixel for pixel."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from checkerscope.analysis.figures import _style
from checkerscope.analysis.records import Records

LABEL = "Reconstructions"
CAPTION = (
    "A held-out image, its reconstruction by every arm (first seed) at {whole} device pixels per image pixel, and below"
    " it its flattest crop at {crop} per pixel. Pixels are repeated, never resampled: resampling would hide a"
    " checkerboard, or make one."
)
NEEDS = ("reconstruction.picture", "reconstruction.target_picture")
RANK = 20
#: Device pixels per image pixel: the whole picture, and the crop.
WHOLE, CROP, CROP_SIDE, GAP, TEXT = 3, 8, 24, 10, 52
#: Border of the picture that the crop keeps away from.
MARGIN = 8
CAPTION = CAPTION.format(whole=WHOLE, crop=CROP)


def magnify(picture: np.ndarray, factor: int) -> np.ndarray:
    """Return a picture (H, W, C) with every pixel repeated `factor` times along both axes.

    >>> magnify(np.array([[[1], [2]]], dtype=np.uint8), 2)[..., 0]
    array([[1, 1, 2, 2],
           [1, 1, 2, 2]], dtype=uint8)
    """
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def flattest(picture: np.ndarray) -> tuple[int, int]:
    """Return the corner of the crop of a picture with the least contrast: a grid shows best where nothing else does."""
    margin = max(0, min(MARGIN, (min(picture.shape[:2]) - CROP_SIDE) // 2))
    inner = [range(margin, max(margin, side - CROP_SIDE - margin) + 1, 4) for side in picture.shape[:2]]
    corners = [(h, w) for h in inner[0] for w in inner[1]]
    return min(corners, key=lambda at: float(picture[at[0] : at[0] + CROP_SIDE, at[1] : at[1] + CROP_SIDE].std()))


def tile(picture: np.ndarray, corner: tuple[int, int]) -> np.ndarray:
    """Return one arm's column: the whole picture above its crop, both at integer magnification."""
    h, w = corner
    crop = magnify(picture[h : h + CROP_SIDE, w : w + CROP_SIDE], CROP)
    whole = magnify(picture, WHOLE)
    width = max(whole.shape[1], crop.shape[1])
    parts = [np.pad(p, ((0, 0), (0, width - p.shape[1]), (0, 0)), constant_values=255) for p in (whole, crop)]
    return np.concatenate([parts[0], np.full((4, width, whole.shape[2]), 255, np.uint8), parts[1]])


@_style.styled
def draw(records: Records) -> Figure:
    """Return the mosaic; one image pixel covers a whole number of device pixels at the figure's own dpi."""
    original = next(iter(records.by_arm(NEEDS[1]).values()))[0]
    pictures = {"original": original, **{arm: found[0] for arm, found in records.by_arm(NEEDS[0]).items()}}
    corner = flattest(original)
    tiles = [(name, tile(picture, corner)) for name, picture in pictures.items()]
    height, width = tiles[0][1].shape[:2]
    columns = max(1, min(len(tiles), int(_style.PAGE * _style.DPI) // (width + GAP)))
    rows = -(-len(tiles) // columns)
    size = (columns * (width + GAP), rows * (height + TEXT))
    fig = _style.figure(size[0] / _style.DPI, size[1] / _style.DPI)
    fig.set_layout_engine("none")
    for i, (name, pixels) in enumerate(tiles):
        x, top = (i % columns) * (width + GAP), size[1] - (i // columns) * (height + TEXT)
        rgb = pixels if pixels.shape[2] == 3 else pixels.repeat(3, axis=2)
        fig.figimage(rgb, xo=x, yo=top - TEXT - height, origin="upper")
        fig.text(x / size[0], (top - TEXT + 8) / size[1], _style.fold(name), fontsize=5.5, va="bottom")
    return fig
