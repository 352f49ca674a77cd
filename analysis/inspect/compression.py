"""Whether images have been through JPEG, from the files or from the law that it leaves in blocks of 8 pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from checkerscope.analysis.inspect.components import Component
from checkerscope.analysis.inspect.residuals import Pixels

#: Side of a JPEG block, and of the cell that a colour of half the resolution makes of it.
BLOCK, CELL = 8, 16
#: From which excess an image counts as compressed: without compression it stayed below .05 on the photographs that
#: this was tuned on; at quality 95 it is from .37 on, at 98 from .15 on.
EXCESS = 0.15
# A coefficient below 0.6 grey levels vanishes: it was zero and the pixels have been rounded since.
_VANISHING = 0.6 / 255
# A share below this is that of a few blocks.
_LEAST_SURVIVING = 0.005
# Frequencies from this sum on are quantized coarsely enough.
_HIGH = 6
#: Grid that compression may leave of itself: this share of the mean quantization step, and grey levels at least.
SHARE, LEAST_LEVELS = 1 / 110, 0.22
#: Mean step where the file does not say: of quality 50.
UNKNOWN_STEP = 57.0
# What compression makes of a grid with a smaller period, relative to it: -6 dB.
_REST = 0.25
# The colour contrast adds up more of the channels' errors than brightness does.
_COLOUR = 2.5


def excess(image: Pixels) -> float:
    """Return by what share fewer high-frequency DCT coefficients survive in aligned blocks than in shifted ones.

    Quantization makes them zero in the blocks of the file and nowhere else.

    Args:
        image: (3, height, width) in [0, 1], sides from 16.
    """
    brightness = np.einsum("c,chw->hw", np.array([0.299, 0.587, 0.114]), image)
    aligned, shifted = _surviving(brightness), _surviving(brightness[BLOCK // 2 :, BLOCK // 2 :])
    return 1 - aligned / shifted if shifted > _LEAST_SURVIVING else 0.0


def _surviving(brightness: NDArray[np.float64]) -> float:
    rows, columns = (side // BLOCK for side in brightness.shape)
    whole = brightness[: rows * BLOCK, : columns * BLOCK]
    blocks = whole.reshape(rows, BLOCK, columns, BLOCK).swapaxes(1, 2)
    k = np.arange(BLOCK)
    cosines = np.sqrt(np.where(k == 0, 1, 2) / BLOCK)[:, None] * np.cos(np.pi * (2 * k + 1) * k[:, None] / 2 / BLOCK)
    high = (cosines @ blocks @ cosines.T)[..., k[:, None] + k >= _HIGH]
    return float((np.abs(high) >= _VANISHING).mean())


def mean_step(tables: Sequence[Sequence[int]]) -> float:
    """Return the mean quantization step of the brightness over files, in grey levels; a coarse one if none says."""
    steps = [float(np.mean(table[1:])) for table in tables if table]
    return float(np.mean(steps)) if steps else UNKNOWN_STEP


def explained(components: Sequence[Component], step: float) -> list[Component]:
    """Return the components that JPEG alone may have made, or made of a grid with a smaller period.

    Rounding and clipping leave up to .1 grey levels at 8 px and its divisors at quality 50; colour of half the
    resolution leaves 16 px, and decoders that interpolate it with alternating rounding leave 2 px. A grid of 2 or
    4 px that was compressed has some of it in the lines of 8 px. The small orders of a grid that is not explained
    are its own.

    Args:
        components: Of the mean residual.
        step: `mean_step` of the files.
    """
    limit = max(LEAST_LEVELS, SHARE * step) / 255
    found = []
    for one in components:
        brightness, colour = np.sqrt(one.power)
        is_faint = brightness <= limit and colour <= _COLOUR * limit
        inside = max((other.power.sum() for other in components if other.order < one.order), default=0.0)
        is_rest = one.order in (BLOCK, CELL) and one.power.sum() < _REST * inside
        if CELL % one.order == 0 and (is_faint or is_rest):
            found.append(one)
    others = [one.order for one in components if one not in found]
    return [one for one in found if all(order % one.order for order in others)]
