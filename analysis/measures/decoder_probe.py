"""Decoder probe: tone of the decoder alone on spatially constant latents, without any data.

Responds to: tone; no image and no encoder border is involved.
Noise floor: none, rounding.
Ground truth: a clean decoder reads 0.

The constant latents are those of constant images. Random normal latents mislead: they excite directions that no image
excites, where a grid costs nothing in training and so is never trained away.
"""

from __future__ import annotations

from collections.abc import Callable
from math import nan, sqrt
from typing import Any

import torch
from torch import Tensor

from checkerscope.analysis import spectra
from checkerscope.analysis.lattice import Period, per_axis
from checkerscope.analysis.measures.tone import LEVELS, flat_tone, tone_fraction
from checkerscope.analysis.trial import Trial
from checkerscope.toolkit import checks

LABEL = "Decoder probe"
SOURCE = "this study"
UNITS = {
    "decoder_probe.rms": "image units",
    "decoder_probe.fraction": "fraction of power",
}

#: RMS of what rounding to 8 bits adds to an image in [0, 1]: a grid below it drowns when the image is saved, so a model
#: above it is called dirty. Set before any model was seen.
DIRTY = 1 / (255 * sqrt(12))


def decoder_probe(decode: Callable[[Tensor], Tensor], latents: Tensor, period: Period, *, reach: int = 8) -> Tensor:
    """Return what the decoder makes of spatially constant latents, border cropped, (N, C, 4 period, ...), float64.

    Its `tone` is the probe's reading: four periods are as good as any number, it repeats.

    Args:
        decode: Maps (N, C_latent, *low) to (N, C, *(period * low)).
        latents: (N, C_latent, 1, ..., 1): one latent vector per row.
        period: In pixels, the product of the decoder's strides; one number or one per axis.
        reach: Latent cells that are added and cropped again at every edge, so that padding does not show.

    Raises:
        ValueError: If the latents are not constant vectors.

    >>> flat_tone(decoder_probe(torch.nn.Upsample(scale_factor=2), torch.ones(1, 1, 1, 1), 2), 2)
    0.0
    """
    if not 3 <= latents.dim() <= 5 or any(side != 1 for side in latents.shape[2:]):
        raise checks.mismatch("latents", "one position, (n, c, 1, ...)", tuple(latents.shape), "average over positions")
    cells = 4 + 2 * checks.integer("reach", reach, minimum=0)
    with torch.no_grad():
        images = decode(latents.expand(*latents.shape[:2], *(cells,) * (latents.dim() - 2)).contiguous())
    margin = [reach * p for p in per_axis(period, images.dim() - 2)]
    return spectra.interior(images, period, margin)


def measure(trial: Trial) -> dict[str, float]:
    """Return tone and tone fraction over the latents of five grey levels; NaN where the decoder needs a context."""
    if trial.needs_context:
        return dict.fromkeys(UNITS, nan)
    model: Any = trial.model
    images = decoder_probe(model.decode, _flat_latents(trial), trial.period, reach=trial.reach)
    fractions = [tone_fraction(image[None], trial.period) for image in images]
    return {
        "decoder_probe.rms": flat_tone(images, trial.period),
        "decoder_probe.fraction": sum(fractions) / len(fractions),
    }


def _flat_latents(trial: Trial) -> Tensor:
    """Return the latents of constant images far from the border, (levels, C_latent, 1, ..., 1)."""
    model: Any = trial.model
    with torch.no_grad():
        latents: Tensor = model.encode(trial.constant(LEVELS, (2 * trial.reach + 1) * trial.period))[0]
    for axis in range(2, latents.dim()):
        latents = latents.narrow(axis, latents.shape[axis] // 2, 1)
    return spectra.check_finite(latents, "latents")
