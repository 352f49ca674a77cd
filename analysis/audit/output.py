"""One output of an audited model: its map in whatever the model returns, and the grids that may be in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from checkerscope.analysis.audit import grids, probes
from checkerscope.analysis.audit.tracing.lineage import Period, whole
from checkerscope.analysis.audit.tracing.run import Pass


@dataclass(frozen=True)
class FlatAnswer:
    """A model's answer to one flat input.

    Attributes:
        run: As the model is.
        still: With the output of every enlargement made flat: what it shows is no enlargement's doing.
    """

    run: Pass
    still: Pass


@dataclass(frozen=True)
class Output:
    """One output that carries a grid.

    Attributes:
        name: Its place in what the model returns, "" for a single tensor.
        periods: Of the grids in it, per spatial axis.
        dims: Spatial axes of the model.
    """

    name: str
    periods: frozenset[Period]
    dims: int

    @property
    def period(self) -> Period:
        """The period of all grids together."""
        return whole(self.periods, self.dims)

    def map(self, returned: Any) -> Tensor:
        """Return its map (N, C, *spatial) in what the model returned."""
        tensor = dict(probes.tensors(returned))[self.name]
        return tensor if tensor.dim() == self.dims + 2 else tensor.unsqueeze(1)

    def pattern(self, returned: Any) -> Tensor:
        """Return its fixed grid, (N, C, phases)."""
        return grids.pattern(grids.centre(self.map(returned), self.period), self.period)

    def reference(self, returned: Sequence[Any]) -> float:
        """Return the contrast that its grid is compared with; its level if it never varies."""
        maps = [self.map(one) for one in returned]
        contrast = max(grids.contrast(x, self.dims) for x in maps)
        return contrast or max(grids.level(x, self.dims) for x in maps) or 1.0

    def tones(self, returned: Any) -> dict[Period, float]:
        """Return the power of the grid by period, for an answer to varying content."""
        return grids.tone_by_period(self.map(returned), self.periods)

    def flat_tones(self, answers: Sequence[FlatAnswer], periods: Iterable[Period]) -> dict[Period, float]:
        """Return the power of the grid by period on flat inputs, mean over them."""
        folded = {period: mean(self._flat_tone(answer, period) for answer in answers) for period in periods}
        return grids.beyond_divisors(folded)

    def _flat_tone(self, answer: FlatAnswer, period: Period) -> float:
        """Return the power of the grid, also where a model adds content of its own (coordinates, learned maps).

        Where that hides the grid in the output, what the enlargements change tells, up to what can be hidden.
        """
        run, still = (grids.centre(self.map(one.output), period) for one in (answer.run, answer.still))
        power, chance = grids.grid_power(run, period)
        if power - chance > grids.SURE * chance:
            return power - chance
        return min(grids.tone_power(run - still, period), (grids.SURE + 1) * chance)


def outputs(seen: Pass, dims: int) -> list[Output]:
    """Return the outputs of a pass that carry a fixed lattice."""
    found = []
    for name, tensor in probes.tensors(seen.output):
        lineage = seen.lineage(tensor)
        if lineage is not None and lineage.periods and dims + 1 <= tensor.dim() <= dims + 2:
            found.append(Output(name, lineage.periods, dims))
    return found


def mean(values: Iterable[float]) -> float:
    """Return the mean of some numbers."""
    listed = list(values)
    return sum(listed) / len(listed)
