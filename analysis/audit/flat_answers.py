"""A model's answers to flat inputs: their grid, and what every enlargement adds to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from checkerscope.analysis.audit import attribution, grids
from checkerscope.analysis.audit.attribution import Parts
from checkerscope.analysis.audit.growth.lineage import Period
from checkerscope.analysis.audit.output import Output
from checkerscope.analysis.audit.probing import probes
from checkerscope.analysis.audit.probing.probes import Arguments
from checkerscope.analysis.audit.probing.running import Runner
from checkerscope.analysis.audit.report import Step
from checkerscope.analysis.audit.tracing.run import Pass

if TYPE_CHECKING:
    from checkerscope.analysis.audit.grouping import Grouped

#: Flat inputs that the tone is the mean of.
FLAT_INPUTS = 5
#: Of these the strongest are taken apart, until they hold this share of the tone, and no more than so many.
MOST_OF_IT, MOST_INPUTS = 0.9, 3
#: Faint texture, as a share of the example's deviation, on so many of the flat inputs.
FAINT, TEXTURED = 1e-3, 3
#: What a flat map differs from itself by rounding, relative to its power.
ROUNDING = 1e-12


class FlatAnswers:
    """The answers to `FLAT_INPUTS` flat inputs, and further runs on the same inputs."""

    def __init__(
        self, runner: Runner, given: Arguments, groups: Sequence[Grouped], *, generator: torch.Generator
    ) -> None:
        self.runner, self.groups = runner, groups
        self.inputs = probes.flats(given, runner.dims, generator, count=FLAT_INPUTS)
        self.runs = [
            runner.flat(x, traced=index % 2 == 0, measured=groups[0].key) for index, x in enumerate(self.inputs)
        ]
        self._still: dict[int, Pass] = {}
        self._powers: dict[tuple[str, int | None, Period], list[float]] = {}

    def still(self, index: int) -> Pass:
        """Return an answer with every enlargement's output made flat: what it shows is no enlargement's doing."""
        if index not in self._still:
            everything = frozenset(group.key for group in self.groups)
            self._still[index] = self.runner.flat(self.inputs[index], flat_outputs=everything)
        return self._still[index]

    def powers(self, output: Output, period: Period) -> list[float]:
        """Return the power of the grid on every flat input."""
        key = output.name, output.inside, period
        if key not in self._powers:
            self._powers[key] = [self._power(output, index, period) for index in range(len(self.runs))]
        return self._powers[key]

    def tones(self, output: Output) -> dict[Period, float]:
        """Return the power of the grid by period, mean over the inputs."""
        folded = {p: sum(self.powers(output, p)) / len(self.runs) for p in output.periods}
        return grids.beyond_divisors(folded)

    def _power(self, output: Output, index: int, period: Period) -> float:
        """Return the power of the grid, also where a model adds content of its own (coordinates, learned maps).

        Where that hides the grid in the output, what the enlargements change tells, up to what can be hidden.
        """
        run = grids.centre(output.map(self.runs[index]), period)
        power, chance = grids.grid_power(run, period)
        if power - chance > grids.SURE * chance or max(power, chance) <= ROUNDING * float(run.square().mean()):
            return power - chance
        still = grids.centre(output.map(self.still(index)), period)
        return min(grids.tone_power(run - still, period), (grids.SURE + 1) * chance)

    def strongest(self, output: Output) -> Pass:
        """Return the answer with the strongest grid."""
        powers = self.powers(output, output.period)
        return self.runs[powers.index(max(powers))]

    def taken_apart(self, output: Output, tone: float) -> tuple[Parts, list[float | None]]:
        """Return what each enlargement makes of the tone, and the share of the grid in its own output.

        Args:
            output: The output that is judged.
            tone: Power of its grid, which the parts add up to.
        """
        lines = [attribution.line_powers(output.pattern(run), output.period) for run in self.runs]
        chosen = _strongest([float(line.sum()) for line in lines])
        found = [self._steps(output, index) for index in chosen]
        pieces = [torch.stack([step[0][i] for step in found]).sum(0) for i in range(len(self.groups) + 1)]
        own = [_mean(step[1][i] for step in found) for i in range(len(self.groups))]
        whole = torch.stack(lines).mean(0)
        return attribution.shared(whole, pieces, power=tone, periods=output.periods), own

    def _steps(self, output: Output, index: int) -> tuple[list[Tensor], list[float | None]]:
        """Make the outputs of the first 1, 2, ... enlargements flat; return each difference by line, and own grids."""
        run = self.runs[index]
        before, pieces, own = output.pattern(run), [], []
        for i, group in enumerate(self.groups):
            own.append(next((e.own_tone for e in run.enlargements if e.group == group.key), None))
            flat = frozenset(g.key for g in self.groups[: i + 1])
            following = self.groups[i + 1].key if i + 1 < len(self.groups) else None
            run = (
                self.still(index)
                if following is None
                else self.runner.flat(self.inputs[index], flat_outputs=flat, measured=following)
            )
            after = output.pattern(run)
            pieces.append(attribution.line_powers(before - after, output.period))
            before = after
        return [*pieces, attribution.line_powers(before, output.period)], own

    def texture_db(self, output: Output, given: Arguments, generator: torch.Generator) -> float:
        """Return the weakest grid on flat inputs with a breath of texture, in dB of what the texture itself leaves.

        It is as strong as that where the network divides by a deviation that it takes nearby; elsewhere it vanishes
        with the texture.
        """
        found = []
        for index in range(0, len(self.inputs), len(self.inputs) // TEXTURED + 1):
            faint = probes.texture(self.inputs[index], given, self.runner.dims, share=FAINT, generator=generator)
            found.append(grids.decibel(*grids.periodic_grid(output.map(self.runner.live(faint)), output.period)))
        return min(found)

    def trace(self, kinds: Mapping[str, str], index: Mapping[int, int]) -> tuple[Step, ...]:
        """Return the grid in the output of every module, mean over the flat inputs.

        Args:
            kinds: Class of every module by path.
            index: Place among the layers of every enlargement; repetitions share theirs, and are shown once.
        """
        steps: dict[tuple[str, int | None], Step] = {}
        for marks in zip(*(run.trace for run in self.runs if run.trace), strict=False):
            layer = None if marks[0].enlargement is None else index[marks[0].enlargement]
            tone = grids.decibel(sum(mark.share for mark in marks) / len(marks), 1.0)
            step = Step(path=marks[0].path, kind=kinds[marks[0].path], tone_db=tone, layer=layer)
            if layer is None or (marks[0].path, layer) not in steps:
                steps[marks[0].path, layer if layer is not None else -len(steps) - 1] = step
        return tuple(steps.values())


def _strongest(powers: Sequence[float]) -> list[int]:
    """Return the inputs that hold most of the tone."""
    order = sorted(range(len(powers)), key=lambda i: -powers[i])
    for count in range(1, MOST_INPUTS):
        if sum(powers[i] for i in order[:count]) >= MOST_OF_IT * sum(powers):
            return order[:count]
    return order[:MOST_INPUTS]


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
