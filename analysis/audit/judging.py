"""Which output is judged, what its grid is compared with, and whether it can be judged at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan

from checkerscope.analysis.audit import grids
from checkerscope.analysis.audit.flat_answers import FlatAnswers
from checkerscope.analysis.audit.growth.lineage import Period
from checkerscope.analysis.audit.output import Output
from checkerscope.analysis.audit.report import Limit
from checkerscope.analysis.audit.tracing.run import Pass

#: RMS contrast relative to the output's own scale below which the output counts as constant.
CONSTANT = 1e-6
#: How much stronger, in dB, a grid has to be before a squashing operator than behind it to be the one that is judged.
SQUASHED_BY = 6.0
#: Width of the range of values that a last operator has; all others are taken for 1.
RANGES = {"tanh": 2.0}


@dataclass(frozen=True)
class Judged:
    """The output that is reported.

    Attributes:
        output: The output, or what its last squashing operator takes.
        powers: Of its grid on every flat input.
        reference: Mean square that the grid is compared with: the output's contrast.
        level: Mean square of its values.
        limit: Limit of the tone in dB of the reference.
        epsilon: Coarsest relative rounding on the way to it.
        squash: Name of the operator that the output ends with, "" if it squashes nothing.
        other_db: Tone behind that operator where what it takes is judged, and the other way round.
    """

    output: Output
    powers: tuple[float, ...]
    reference: float
    level: float
    limit: float
    epsilon: float
    squash: str = ""
    other_db: float | None = None

    @property
    def tone(self) -> float:
        """Power of the grid, mean over the flat inputs."""
        return sum(self.powers) / len(self.powers)

    @property
    def tone_db(self) -> float:
        """Tone in dB of the contrast."""
        return self.decibel(self.tone)

    @property
    def floor_db(self) -> float:
        """What rounding alone may leave, in dB of the contrast."""
        return self.decibel(self.epsilon**2 * self.level)

    @property
    def grey_levels(self) -> float:
        """RMS of the grid in grey levels of 255."""
        return 255 * self.tone**0.5 / (RANGES.get(self.squash, 1.0) if self.output.inside is None else 1.0)

    def decibel(self, power: float) -> float:
        """Return a power relative to the reference."""
        return grids.decibel(power, self.reference)

    def by_period(self, powers: Mapping[Period, float]) -> dict[str, float]:
        """Return powers by period for people."""
        return {grids.name_of(period): self.decibel(power) for period, power in powers.items()}

    def variances(self, runs: Mapping[str, Pass]) -> dict[str, dict[str, float]]:
        """Return the relative spread of the phase variances in dB, where cells are enough and anything varies."""
        return {probe: self._variances(run) for probe, run in runs.items()}

    def _variances(self, run: Pass) -> dict[str, float]:
        x, found = self.output.map(run), {}
        for period in sorted(self.output.periods):
            spread = grids.phase_variance(grids.centre(x, period), period)
            if not isnan(spread):
                found[grids.name_of(period)] = grids.decibel(spread, 1.0)
        return found

    def refusal(self, runs: Sequence[Pass]) -> str:
        """Return why it cannot be judged, "" if it can."""
        scale = self.level**0.5
        if self.reference**0.5 <= CONSTANT * scale or self.reference == 0:
            share = f"{self.reference**0.5 / scale:.1g} of its level" if scale > 0 else "and its level zero"
            return f"the output does not depend on the input: its contrast is {share}; load trained weights"
        first, second = (self.output.map(run) for run in runs)
        changed = float((first.double() - second.double()).square().mean()) ** 0.5
        if changed <= CONSTANT * scale and self.tone_db <= self.limit:
            return "the output does not depend on the input: it is the same on the example and on noise"
        return ""


def judged(found: Sequence[Output], flat: FlatAnswers, runs: Sequence[Pass], limit: Limit) -> Judged:
    """Return the output with the strongest grid, or what its last squashing operator takes where that tells more.

    Args:
        found: The outputs with a lattice.
        flat: The answers to flat inputs.
        runs: On the example and on noise.
        limit: Of the tone.
    """
    fitting = [output for output in found if output.fits(runs[0], 1)]
    measured = [_measured(output, flat, runs, limit) for output in fitting]
    outside = [one for one in measured if one.output.inside is None] or measured
    best = max(outside, key=lambda one: one.tone_db)
    inside = [one for one in measured if one.output.inside is not None and one.output.name == best.output.name]
    if best.output.inside is not None:  # labels or masks: nothing else can be judged
        return _with(best, best.output.squash, None)
    if not inside:
        return best
    squash = inside[0].output.squash
    is_flat = best.reference**0.5 <= CONSTANT * best.level**0.5
    is_hidden = inside[0].tone_db > best.tone_db + SQUASHED_BY and inside[0].tone_db > inside[0].limit
    chosen, other = (inside[0], best) if is_hidden or is_flat else (best, inside[0])
    return _with(chosen, squash, other.tone_db)


def _with(one: Judged, squash: str, other_db: float | None) -> Judged:
    return Judged(
        one.output, one.powers, one.reference, one.level, one.limit, one.epsilon, squash=squash, other_db=other_db
    )


def _measured(output: Output, flat: FlatAnswers, runs: Sequence[Pass], limit: Limit) -> Judged:
    reference, level = output.contrast(runs), output.level(runs)
    powers = tuple(flat.powers(output, output.period))
    return Judged(output, powers, reference, level, limit.in_decibel(reference), runs[0].epsilon)
