"""Audit of any network: which layer makes the grid, how strong it is at the output, and what cures it.

One forward pass is watched operator by operator (`analysis.audit.tracing`), so that every enlargement counts, whatever
makes it. Then the model answers flat inputs on a periodic map, where padding has no border: all that its output shows
is a fixed grid, the tone. Making the first 1, 2, ... enlargements' outputs flat as well takes the tone apart, exactly,
into what each layer adds, and what is left at last (coordinates, learned maps) is none of theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isnan, log10
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from checkerscope.analysis import spectra
from checkerscope.analysis.audit import grids, guard, probes
from checkerscope.analysis.audit.output import FlatAnswer, Output, mean, outputs
from checkerscope.analysis.audit.probes import Arguments
from checkerscope.analysis.audit.report import NO_LATTICE, NOTHING, THRESHOLD_DB, Layer, Report, Step
from checkerscope.analysis.audit.tracing.lineage import Period
from checkerscope.analysis.audit.tracing.modules import Paths
from checkerscope.analysis.audit.tracing.norms import Norms
from checkerscope.analysis.audit.tracing.plan import Enlargement, Plan
from checkerscope.analysis.audit.tracing.run import Pass, forward
from checkerscope.analysis.audit.tracing.unused import unused
from checkerscope.analysis.audit.verdict import layer_of, slope_warning, verdict
from checkerscope.toolkit import checks

#: Flat inputs that the tone is the mean of.
FLAT_INPUTS = 3
#: Layers whose parts together are this much weaker than the tone did not make it.
THEIR_SHARE_DB = 10.0


def audit(
    model: nn.Module,
    example_input: Any,
    *,
    spatial_dims: int | None = None,
    threshold_db: float = THRESHOLD_DB,
    seed: int = 0,
) -> Report:
    """Return which layers of `model` enlarge their map and what grid they leave in its output.

    The model runs in eval mode without gradients, about ten times and once more per enlargement; weights, buffers,
    mode and all random generators are as before afterwards, also after an exception. On flat inputs convolutions and
    padding are circular, and so the tone hardly depends on the size of the example: a small one is enough. There
    instance and group normalization have the statistics of the example, as in a flat region of it.
    Parts that are compiled run uncompiled.

    *Tone* is the mean square, over phases, of the fixed pattern that the output shows on flat inputs, whose levels are
    drawn around the example's mean with its standard deviation. It is given in dB relative to the output's contrast:
    its mean square around the spatial mean on the example or on noise of the same mean and variance, whichever is
    stronger. So a decoder's scale does not matter. The default limit, -50 dB, is 0.3 % of the contrast: in an 8-bit
    image with a standard deviation of 50 levels it is 0.16 levels, which rounding removes.
    Random transposed convolutions leave about 0 dB, trained ones about -40 dB; bilinear and nearest resizes, FIR
    filters with zeros at the alias frequencies and equal phase gains stay below -100 dB in float32.

    Args:
        model: Any module.
        example_input: What it takes: a tensor, a tuple of positional or a dictionary of keyword arguments. Values
            matter: their mean and variance set the level of the probes.
        spatial_dims: 1, 2 or 3 where shapes do not tell.
        threshold_db: Limit of the tone for `Report.clean`.
        seed: Of the probes, and of what the model itself draws.

    Raises:
        ValueError: If the model is no module, does not take the input, or returns no map or values that are not
            finite.

    >>> audit(nn.Upsample(scale_factor=2), torch.rand(1, 3, 16, 16)).clean
    True
    """
    model = getattr(model, "_orig_mod", model)  # what torch.compile wraps
    if not isinstance(model, nn.Module):
        raise checks.mismatch("audit: model", "a torch.nn.Module", type(model).__name__)
    given = probes.arguments(example_input)
    with guard.untouched(model, seed=seed):
        plain = _plain(model, given)
        dims = probes.spatial_dims(given, plain) if spatial_dims is None else spatial_dims
        checks.choice("audit: spatial_dims", dims, (1, 2, 3))
        return _Audit(model, given, plain, dims=dims, threshold_db=threshold_db, seed=seed).report()


def _plain(model: nn.Module, given: Arguments) -> Any:
    """Return the output on the example; the one place where a wrong input shows."""
    with torch.no_grad(), _explained("the example input", given):
        output = _call(model, given)
    if any(not grids.is_finite(t) for _, t in probes.tensors(output)):
        raise checks.mismatch("audit: output", "finite values", "NaN or infinity", "load trained weights or rescale")
    return output


@contextmanager
def _explained(what: str, given: Arguments) -> Iterator[None]:
    """Turn whatever the model raises into one line that says on which input."""
    try:
        yield
    except Exception as error:
        shapes = [tuple(t.shape) for t in pytree.tree_leaves(given) if isinstance(t, Tensor)]
        why = str(error).strip().splitlines() or ["no message"]
        raise ValueError(f"audit: the model fails on {what} {shapes}: {type(error).__name__}: {why[0]}") from error


def _call(model: nn.Module, given: Arguments) -> Any:
    args, kwargs = probes.copied(given)
    return model(*args, **kwargs)


@dataclass(frozen=True)
class _Judged:
    """The output that is reported.

    Attributes:
        output: The output.
        tone: Power of its grid on flat inputs.
        reference: Power that it is compared with.
    """

    output: Output
    tone: float
    reference: float

    def decibel(self, power: float) -> float:
        """Return a power relative to the reference."""
        return grids.decibel(power, self.reference)

    def by_period(self, powers: Mapping[Period, float]) -> dict[str, float]:
        """Return powers by period for people."""
        return {grids.name_of(period): self.decibel(power) for period, power in powers.items()}


class _Audit:
    def __init__(
        self, model: nn.Module, given: Arguments, plain: Any, *, dims: int, threshold_db: float, seed: int
    ) -> None:
        self.model, self.given, self.plain, self.dims = model, given, plain, dims
        self.threshold_db, self.seed = threshold_db, seed
        self.paths, self.norms = Paths(model), Norms()
        self.generator = torch.Generator().manual_seed(seed)

    def report(self) -> Report:
        """Run all probes and put the findings together."""
        seen = self._run(self.given, Plan(norms=self.norms))
        idle = unused(self.model, seen.enlargements, self.paths)
        if not seen.enlargements:
            return Report(True, NOTHING, (), threshold_db=self.threshold_db, unused=idle)
        found = outputs(seen, self.dims)
        if not found:
            layers = tuple(layer_of(e, None, self.threshold_db) for e in seen.enlargements)
            return Report(True, NO_LATTICE, layers, threshold_db=self.threshold_db, unused=idle)
        noisy = self._plainly(probes.noise(self.given, self.dims, self.generator))
        inputs = [probes.flat(self.given, self.dims, self.generator) for _ in range(FLAT_INPUTS)]
        answers = [self._answer(x, len(seen.enlargements)) for x in inputs]
        judged = max((self._judged(one, answers, noisy) for one in found), key=lambda one: one.tone / one.reference)
        layers = self._layers(seen.enlargements, judged, inputs[0], answers[0])
        return self._summary(judged, layers, answers, noisy, idle)

    # running the model

    def _run(self, given: Arguments, plan: Plan) -> Pass:
        guard.reseed(self.seed)
        args, kwargs = probes.copied(given)
        with _explained("a periodic map" if plan.circular else "the example input", given):
            return forward(self.model, args, kwargs, spatial_dims=self.dims, plan=plan, paths=self.paths)

    def _plainly(self, given: Arguments) -> Any:
        guard.reseed(self.seed)
        with torch.no_grad(), _explained("noise", given):
            return _call(self.model, given)

    def _answer(self, given: Arguments, enlargements: int) -> FlatAnswer:
        run = self._run(given, Plan(norms=self.norms, circular=True, flat_inputs=True, traced=True))
        return FlatAnswer(
            run, self._run(given, Plan(norms=self.norms, circular=True, flat_inputs=True, flat_outputs=enlargements))
        )

    # judging

    def _judged(self, output: Output, answers: Sequence[FlatAnswer], noisy: Any) -> _Judged:
        tone = output.flat_tones(answers, [output.period])[output.period]
        return _Judged(output, tone, output.reference([self.plain, noisy]))

    def _layers(
        self, seen: Sequence[Enlargement], judged: _Judged, given: Arguments, answer: FlatAnswer
    ) -> tuple[Layer, ...]:
        """Make the outputs of the first 0, 1, ... enlargements flat; differences are what each layer adds."""
        before, current = judged.output.pattern(answer.run.output), answer.run
        layers = []
        for index, event in enumerate(seen):
            own = current.enlargements[index].own_tone if index < len(current.enlargements) else None
            plan = Plan(norms=self.norms, circular=True, flat_inputs=True, flat_outputs=index + 1)
            current = answer.still if index + 1 == len(seen) else self._run(given, plan)
            after = judged.output.pattern(current.output)
            left = judged.decibel(float((before - after).square().mean()))
            layers.append(layer_of(event, left, self.threshold_db, own))
            before = after
        return tuple(layers)

    # putting together

    def _summary(
        self,
        judged: _Judged,
        layers: tuple[Layer, ...],
        answers: Sequence[FlatAnswer],
        noisy: Any,
        idle: tuple[str, ...],
    ) -> Report:
        output, tone_db, limit = judged.output, judged.decibel(judged.tone), self.threshold_db
        worst = _worst(layers, tone_db)
        noise = grids.centre(output.map(noisy), output.period)
        grid = output.pattern(answers[0].run.output).reshape(*noise.shape[:2], *output.period)
        tones = self._tones(judged, answers, noisy)
        return Report(
            clean=tone_db <= limit,
            verdict=verdict(tone_db, limit, layers, worst)
            + slope_warning(tone_db, tones.get("ramp", {}), limit, layers),
            layers=layers,
            tone_db=tone_db,
            threshold_db=limit,
            tones=tones,
            phase_variance_db={"noise": _variances(output, noisy), "given": _variances(output, self.plain)},
            period=output.period,
            output=output.name,
            worst=worst,
            unused=idle,
            contrast=judged.reference**0.5,
            trace=self._trace(answers),
            spectrum=spectra.mean_power(noise).mean(0).numpy(force=True),
            phase_map=grid.numpy(force=True),
        )

    def _tones(self, judged: _Judged, answers: Sequence[FlatAnswer], noisy: Any) -> dict[str, dict[str, float]]:
        output = judged.output
        tones = {
            "flat": judged.by_period(output.flat_tones(answers, output.periods)),
            "ramp": self._ramp_tones(judged),  # empty in one dimension: nothing runs across
            "noise": judged.by_period(output.tones(noisy)),
            "given": judged.by_period(output.tones(self.plain)),
        }
        return {probe: values for probe, values in tones.items() if values}

    def _ramp_tones(self, judged: _Judged) -> dict[str, float]:
        """Return the grid that runs across a ramp, which itself and any staircase it becomes run along."""
        found: dict[Period, list[float]] = {}
        for axis in range(self.dims):
            run = self._run(probes.ramp(self.given, self.dims, axis), Plan(norms=self.norms, circular=True))
            x, left = grids.across(judged.output.map(run.output), axis, judged.output.periods)
            powers = grids.tone_by_period(x, set(left.values()))
            for period, shorter in left.items():
                found.setdefault(period, []).append(powers[shorter])
        return judged.by_period({period: mean(powers) for period, powers in sorted(found.items())})

    def _trace(self, answers: Sequence[FlatAnswer]) -> tuple[Step, ...]:
        """Return the grid in the output of every module, mean over the flat inputs."""
        kinds = {name: type(module).__name__ for name, module in self.model.named_modules()}
        return tuple(
            Step(
                path=marks[0].path,
                kind=kinds[marks[0].path],
                tone_db=grids.decibel(mean(mark.share for mark in marks), 1.0),
                layer=marks[0].enlargement,
            )
            for marks in zip(*(answer.run.trace for answer in answers), strict=False)
        )


def _worst(layers: Sequence[Layer], tone_db: float) -> int | None:
    """Return the index of the layer that leaves most; None where nothing is left or most is no layer's doing."""
    strengths = [grids.FLOOR_DB if layer.output_db is None else layer.output_db for layer in layers]
    strongest = max(strengths)
    together = 10 * log10(sum(10 ** (strength / 10) for strength in strengths))
    is_theirs = strongest > grids.FLOOR_DB and together > tone_db - THEIR_SHARE_DB
    return strengths.index(strongest) if is_theirs else None


def _variances(output: Output, returned: Any) -> dict[str, float]:
    """Return the relative spread of the phase variances in dB, where cells are enough and anything varies."""
    x, found = output.map(returned), {}
    for period in sorted(output.periods):
        spread = grids.phase_variance(grids.centre(x, period), period)
        if not isnan(spread):
            found[grids.name_of(period)] = grids.decibel(spread, 1.0)
    return found
