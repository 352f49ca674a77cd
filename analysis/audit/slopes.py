"""The grid that runs across a slope: sub-pixels in the wrong order show there and nowhere else."""

from __future__ import annotations

from checkerscope.analysis.audit import grids
from checkerscope.analysis.audit.growth.lineage import Period
from checkerscope.analysis.audit.output import Output
from checkerscope.analysis.audit.probing import probes
from checkerscope.analysis.audit.probing.probes import Arguments
from checkerscope.analysis.audit.probing.running import Runner


def ramp_powers(output: Output, runner: Runner, given: Arguments) -> dict[Period, float]:
    """Return the power of the grid across a ramp by period; itself and any staircase that it becomes run along it.

    Empty in one dimension, where nothing runs across.
    """
    found: dict[Period, list[float]] = {}
    for axis in range(runner.dims):
        run = runner.periodic(probes.ramp(given, runner.dims, axis))
        x, left = grids.across(output.map(run), axis, output.periods)
        powers = grids.tone_by_period(x, set(left.values()))
        for period, shorter in left.items():
            found.setdefault(period, []).append(powers[shorter])
    return {period: sum(powers) / len(powers) for period, powers in sorted(found.items())}
