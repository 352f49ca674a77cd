"""The conversion to grey that the published measures start from."""

from __future__ import annotations

import torch
from torch import Tensor

from checkerscope.analysis import spectra
from checkerscope.toolkit import checks


def grey(images: Tensor) -> Tensor:
    """Return (N, H, W) float64: .2989 R + .587 G + .114 B of three channels, a single channel as it is.

    Raises:
        ValueError: If the images are no batch of pictures with one or three channels, or not finite.
    """
    spectra.check_images(images)
    if images.dim() != 4 or images.shape[1] not in (1, 3):
        raise checks.mismatch("images", "shape (n, 1 or 3, h, w)", tuple(images.shape))
    x = spectra.exact(spectra.check_finite(images))
    if images.shape[1] == 1:
        return x[:, 0]
    weights = torch.tensor([0.2989, 0.587, 0.114], dtype=torch.float64, device=x.device)
    return torch.einsum("nchw,c->nhw", x, weights)


def square(images: Tensor) -> int:
    """Return the side of square pictures.

    Raises:
        ValueError: If height and width differ: the published code knows square images only.
    """
    height, width = images.shape[-2:]
    if height != width:
        raise checks.mismatch("images", "square pictures", (height, width), "crop them")
    return height
