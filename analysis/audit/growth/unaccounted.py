"""Outputs that are larger than the input though no enlargement was found: never clean, unless flat on flat inputs.

What moves pixels in a way that cannot be followed (rows put together one by one, a scatter into a flat vector) may hide
an enlargement; padding and tiling make a map larger as well. A flat input on a periodic map tells them apart.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from checkerscope.analysis.audit import grids
from checkerscope.analysis.audit.output import Output
from checkerscope.analysis.audit.probing import probes
from checkerscope.analysis.audit.probing.probes import Arguments
from checkerscope.analysis.audit.tracing import returned
from checkerscope.analysis.audit.tracing.run import Pass

#: A side this much longer than the input's is no border.
LARGER = 1.5


def unaccounted(found: Sequence[Output], seen: Pass, given: Arguments, dims: int) -> dict[Output, list[int]]:
    """Return the outputs that are larger than the input along axes where no enlargement says why, with these axes."""
    inputs = [x.shape[-dims:] for x in probes.maps(given, dims)]
    if not inputs:
        return {}
    sides = [max(shape[i] for shape in inputs) for i in range(dims)]
    scales = [event.scale for event in seen.enlargements if len(event.scale) == dims]
    told = {i for i in range(dims) if any(scale[i] > 1 for scale in scales)}
    wrong: dict[Output, list[int]] = {}
    for output in found:
        known = told if output.lineage.axes is not None else set()
        larger = zip(_space(output, seen, sides).shape[2:], sides, output.period, strict=True)
        axes = [i for i, (n, side, p) in enumerate(larger) if p == 1 and n > LARGER * side and i not in known]
        if axes:
            wrong[output] = axes
    return wrong


def unevenness(output: Output, seen: Pass, runs: Sequence[Pass], given: Arguments) -> float:
    """Return how much answers to flat inputs vary over space, in dB of what the answer to the example does."""
    dims = output.dims
    sides = [max(x.shape[i - dims] for x in probes.maps(given, dims)) for i in range(dims)]
    powers = [grids.contrast(_space(output, run, sides), dims) for run in runs]
    return grids.decibel(max(powers), grids.contrast(_space(output, seen, sides), dims))


def _space(output: Output, run: Pass, sides: Sequence[int]) -> Tensor:
    """Return the map, or the tensor as it is where an axis of the map was lost on the way."""
    x = output.map(run)
    raw = dict(returned.tensors(run.output))[output.name]
    is_lost = any(n == 1 < side for n, side in zip(x.shape[2:], sides, strict=True))
    return raw if is_lost and output.inside is None and raw.dim() == output.dims + 2 else x
