"""Border: reconstruction error in the band that padding reaches, against the interior.

Responds to: padding; to content as far as one band of the photographs is harder than another.
Noise floor: a ratio of 1 on average; bands of N photographs scatter by a few per cent.
Ground truth: the target has no error at all; `.flat_rms` is exact, a constant image has no content.
"""

from __future__ import annotations

from math import nan, sqrt

from torch import Tensor

from checkerscope.analysis import spectra
from checkerscope.analysis.trial import Trial
from checkerscope.toolkit import checks

LABEL = "Border error"
SOURCE = "this study"
UNITS = {
    "border.band_rms": "image units",
    "border.interior_rms": "image units",
    "border.ratio": "band over interior",
    "border.flat_rms": "image units",
}


def border(residual: Tensor, width: int) -> tuple[float, float]:
    """Return the RMS of a residual in the border band and inside it, in image units.

    Args:
        residual: (N, C, *spatial), reconstruction minus target.
        width: Of the band at every edge, in pixels.

    Raises:
        ValueError: If the residual is no batch or not finite, or the band leaves no interior.

    >>> import torch
    >>> x = torch.ones(1, 1, 4, 4)
    >>> x[..., 1:-1, 1:-1] = 0.5
    >>> border(x, 1)
    (1.0, 0.5)
    """
    x = spectra.exact(spectra.check_finite(spectra.check_images(residual, "residual"), "residual"))
    checks.integer("width", width)
    if min(x.shape[2:]) <= 2 * width:
        raise checks.mismatch("residual", f"sides above {2 * width} for a band of {width}", tuple(x.shape[2:]))
    inner = x
    for axis in range(2, x.dim()):
        inner = inner.narrow(axis, width, x.shape[axis] - 2 * width)
    inside, everything = float(inner.square().sum()), float(x.square().sum())
    band = max(0.0, everything - inside) / (x.numel() - inner.numel())
    return sqrt(band), sqrt(inside / inner.numel())


def measure(trial: Trial) -> dict[str, float]:
    """Return the errors on held-out images, and on a grey image the RMS of the band about the interior's grid.

    NaN without a margin: then there is no band.
    """
    if not trial.margin:
        return dict.fromkeys(UNITS, nan)
    band, inside = border(trial.residual, trial.margin)
    cells = 2 * trial.reach
    flat = trial.flat((0.5,), cells * trial.period).double()
    # one cell from far inside, repeated: what the image would be without a border
    grid = trial.flat_interior((0.5,), cells=1).double().repeat(1, 1, *(cells for _ in flat.shape[2:]))
    return {
        "border.band_rms": band,
        "border.interior_rms": inside,
        "border.ratio": band / inside if inside else nan,
        "border.flat_rms": border(flat - grid, trial.margin)[0],
    }
