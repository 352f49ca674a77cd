"""Level sweep: tone on constant inputs inside and beyond the training range, normalised by the level.

Responds to: tone, and how it grows with the input's level. A grid that grows in proportion to the distance from the
middle grey is only the network's linearity; a ratio above 1 is more than that.
Noise floor: none, constant images.
Ground truth: 0 at every level; the ratio is undefined there.
"""

from __future__ import annotations

from collections.abc import Callable
from math import nan

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from checkerscope.analysis.lattice import Period
from checkerscope.analysis.measures.tone import tones
from checkerscope.analysis.phases import root_mean_square
from checkerscope.analysis.trial import Trial

LABEL = "Level sweep"
SOURCE = "Pons et al. 2021, arXiv:2010.14356 (tones in silence); normalised here by level"
UNITS = {
    "level_sweep.ratio": "beyond over inside",
    "level_sweep.inside_rms": "image units",
    "level_sweep.beyond_rms": "image units",
    "level_sweep.level": "image units",
    "level_sweep.tone": "image units",
}

#: Grey levels, none at 0.5: the distance from there is the normalisation.
LEVELS = (-1.0, -0.5, -0.25, 0.0, 0.1, 0.3, 0.7, 0.9, 1.0, 1.25, 1.5, 2.0)
#: A tone this small is rounding of the network's float32.
FLOOR = 1e-7


def level_sweep(
    flat: Callable[[tuple[float, ...]], Tensor], period: Period, levels: tuple[float, ...] = LEVELS
) -> Tensor:
    """Return the tone at each level, (levels,), in image units, float64.

    Args:
        flat: Gives the network's answers to constant images of these levels, (levels, C, *spatial), border cropped.
        period: In pixels, the product of the strides; one number or one per axis.
        levels: Grey levels.
    """
    return tones(flat(levels), period)


def measure(trial: Trial) -> dict[str, float | NDArray[np.float64]]:
    """Return the tone per level, its RMS inside [0, 1] and beyond, and the ratio of the two per distance from 0.5.

    `ratio` is RMS of tone / |level - 0.5| beyond [0, 1] over the same inside; NaN where there is no tone inside.
    """
    found = level_sweep(trial.flat_interior, trial.period)
    level = torch.tensor(LEVELS, dtype=torch.float64)
    inside = (level >= 0) & (level <= 1)
    slope = found / (level - 0.5).abs()
    within = root_mean_square(found[inside])
    ratio = root_mean_square(slope[~inside]) / root_mean_square(slope[inside]) if within > FLOOR else nan
    return {
        "level_sweep.ratio": ratio,
        "level_sweep.inside_rms": within,
        "level_sweep.beyond_rms": root_mean_square(found[~inside]),
        "level_sweep.level": level.numpy(),
        "level_sweep.tone": found.numpy(),
    }
