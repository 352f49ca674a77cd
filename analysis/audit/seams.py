"""Seams of a map that is worked on in tiles: how uneven a flat answer is, beyond the grid of the enlargements."""

from __future__ import annotations

from collections.abc import Sequence

from checkerscope.analysis.audit import grids
from checkerscope.analysis.audit.output import Output
from checkerscope.analysis.audit.tracing.run import Pass


def seam_power(output: Output, runs: Sequence[Pass]) -> float:
    """Return the mean square of what varies over the centre of flat answers from cell to cell, mean over them.

    The map has its border there, and so has every tile: what a tile pads with makes the seam. The outer quarters are
    left out, and the grid is averaged away.
    """
    found = []
    for run in runs:
        cells = grids.cells(grids.centre(output.map(run), output.period), output.period).mean(-1)
        found.append(float((cells - cells.mean(-1, keepdim=True)).square().mean()))
    return sum(found) / len(found)
