"""One audit from the first pass to the report: find, probe, judge, take apart."""

from __future__ import annotations

import torch
from torch import nn

from checkerscope.analysis import spectra
from checkerscope.analysis.audit import grids, verdict
from checkerscope.analysis.audit.flat_answers import FlatAnswers
from checkerscope.analysis.audit.grouping import grouped
from checkerscope.analysis.audit.growth.lineage import whole
from checkerscope.analysis.audit.growth.unaccounted import unaccounted, unevenness
from checkerscope.analysis.audit.judging import Judged, judged
from checkerscope.analysis.audit.output import Found, Output, outputs
from checkerscope.analysis.audit.probing import probes, sizes
from checkerscope.analysis.audit.probing.probes import Arguments
from checkerscope.analysis.audit.probing.running import Runner
from checkerscope.analysis.audit.report import NO_LATTICE, NOTHING, Limit, Report, Step
from checkerscope.analysis.audit.seams import seam_power
from checkerscope.analysis.audit.slopes import ramp_powers
from checkerscope.analysis.audit.tracing import returned
from checkerscope.analysis.audit.tracing.run import Pass
from checkerscope.analysis.audit.tracing.unused import unused


class Examination:
    """Runs all probes on one model."""

    def __init__(self, model: nn.Module, given: Arguments, *, dims: int, limit: Limit, seed: int) -> None:
        self.model, self.given, self.dims = model, given, dims
        self.first = given
        self.limit, self.seed = limit, seed
        self.runner = Runner(model, dims=dims, seed=seed)
        self.generator = torch.Generator().manual_seed(seed)
        self.notes: list[str] = []

    def report(self) -> Report:
        """Run all probes and put the findings together."""
        self.seen = self._large_enough()
        self.groups = grouped(self.seen.enlargements)
        found = outputs(self.seen, self.dims)
        refusal = self._refusal(found)
        if refusal:
            return self._unjudged(refusal)
        if not found.judged:
            return self._without_lattice(found)
        self.noisy = self.runner.content(probes.noise(self.given, self.dims, self.generator), "noise")
        self.flat = FlatAnswers(self.runner, self.given, self.groups, generator=self.generator)
        best = judged(found.judged, self.flat, [self.seen, self.noisy], self.limit)
        refusal = best.refusal([self.seen, self.noisy])
        return self._unjudged(refusal) if refusal else self._summary(best)

    # the example

    def _large_enough(self) -> Pass:
        """Return the pass over the example, made larger where two periods of the grid do not fit."""
        seen = self.runner.example(self.given)
        for _ in range(2):
            short = self._shortage(seen)
            if short is None:
                return seen
            larger = self._grown(short)
            if larger is None:
                break
            given, after, note = larger
            if seen.hidden and _kinds(after) == _kinds(seen) and self._fits(seen):
                self.runner.example(self.given)  # nothing was hidden: the smaller one is quicker
                return seen
            self.given, self.notes, seen = given, [note], after
        self._refuse_short(seen)
        return seen

    def _shortage(self, seen: Pass) -> sizes.Shortage | None:
        """Return what the example lacks; None if nothing, or if it has no map that could grow."""
        found = outputs(seen, self.dims).judged
        period = whole([o.period for o in found], self.dims)
        sides = [o.map(seen).shape[2:] for o in found if not o.fits(seen, sizes.PERIODS)]
        enough = any(o.fits(seen, sizes.PERIODS) for o in found) or not found
        shortest = [min(n) for n in zip(*sides, strict=True)] if sides and not enough else [2**62] * self.dims
        short = sizes.shortage(shortest, period, seen.hidden | self._points(seen))
        return short if short.is_any and probes.maps(self.given, self.dims) else None

    def _points(self, seen: Pass) -> frozenset[int]:
        """Return the axes of length 1 in the example along which an output is longer and nothing says why."""
        found = outputs(seen, self.dims)
        lost = unaccounted((*found.judged, *found.plain), seen, self.given, self.dims)
        ones = {
            i for i in range(self.dims) if all(x.shape[i - self.dims] == 1 for x in probes.maps(self.given, self.dims))
        }
        return frozenset(axis for axes in lost.values() for axis in axes if axis in ones)

    def _fits(self, seen: Pass) -> bool:
        found = outputs(seen, self.dims).judged
        return not found or any(o.fits(seen, sizes.PERIODS) for o in found)

    def _grown(self, short: sizes.Shortage) -> tuple[Arguments, Pass, str] | None:
        """Return a larger example and the pass over it; None if the model takes none."""
        before = [tuple(x.shape) for x in probes.maps(self.first, self.dims)]
        for sides in (short.sides, short.more_sides):
            given = probes.grown(self.given, self.dims, sides, self.seed)
            try:
                seen = self.runner.example(given)
            except ValueError:
                continue
            after = [tuple(x.shape) for x in probes.maps(given, self.dims)]
            return given, seen, f"the example was made larger, to show two periods: {before[0]} to {after[0]}"
        return None

    def _refuse_short(self, seen: Pass) -> None:
        """Raise where not even one output shows enough of a grid, with the period that it would have."""
        self.runner.example(self.given)
        if self._fits(seen):
            return
        output = outputs(seen, self.dims).judged[0]
        sides, period = tuple(output.map(seen).shape[2:]), output.period
        raise ValueError(
            f"audit: example_input: expected an output of two periods {period} of its grid, got sides {sides}, and the"
            " model takes no larger one of our making; give a larger example"
        )

    # what cannot be judged, and what needs not

    def _refusal(self, found: Found) -> str:
        """Return why the outputs cannot be judged, "" if they can."""
        lost = unaccounted((*found.judged, *found.plain), self.seen, self.given, self.dims)
        uneven = {axis for output, axes in lost.items() if self._is_uneven(output) for axis in axes}
        if uneven:
            axes = ", ".join(map(str, sorted(uneven)))
            return (
                f"the output is larger than the input along spatial axis {axes}, and no enlargement was found there;"
                " give an example that is longer along it"
            )
        is_mute = bool(self.seen.enlargements or found.lost or not [*returned.tensors(self.seen.output)])
        if is_mute and not found.judged and not found.plain:
            what = returned.described(self.seen.output)
            return f"no output is a map that can be followed from the input; the model returned {what}"
        return ""

    def _is_uneven(self, output: Output) -> bool:
        """Return whether an output varies on flat inputs: what made it larger is then no padding and no tiling."""
        if output.lineage.axes is None:
            return True
        flats = probes.flats(self.given, self.dims, self.generator, count=3)
        runs = [self.runner.flat(flat) for flat in flats]
        return unevenness(output, self.seen, runs, self.given) > self.limit.decibel

    def _without_lattice(self, found: Found) -> Report:
        """Report a model in whose output no enlargement leaves a lattice; tiles make seams all the same."""
        layers = tuple(verdict.layer_of(group, None, self.limit.decibel) for group in self.groups)
        seams = self._seams(found.plain[0], None) if found.plain else None
        report = Report(
            clean=True,
            verdict=NO_LATTICE if layers else NOTHING,
            layers=layers,
            judgement="clean" if layers else "nothing to judge",
            threshold_db=self.limit.decibel,
            unused=self._unused(),
            notes=tuple(self.notes),
        )
        return verdict.with_seams(report, seams, self.seen.tiled)

    def _unjudged(self, why: str) -> Report:
        layers = tuple(verdict.layer_of(group, None, self.limit.decibel) for group in self.groups)
        return Report(
            clean=False,
            verdict=f"Cannot be judged: {why}.",
            layers=layers,
            judgement="cannot be judged",
            threshold_db=self.limit.decibel,
            unused=self._unused(),
            notes=tuple(self.notes),
        )

    def _unused(self) -> tuple[str, ...]:
        return unused(self.model, self.seen.enlargements, self.runner.paths)

    # putting together

    def _summary(self, best: Judged) -> Report:
        output = best.output
        parts, own = self.flat.taken_apart(output, best.tone)
        limit = best.limit
        layers = tuple(
            verdict.layer_of(group, best.decibel(part), limit, share)
            for group, part, share in zip(self.groups, parts.layers, own, strict=True)
        )
        finding = verdict.Finding(
            best=best,
            layers=layers,
            ramp=best.by_period(ramp_powers(output, self.runner, self.given)),
            content=self._content(best),
            texture_db=self._texture(best),
        )
        report = Report(
            clean=finding.is_clean,
            verdict=verdict.sentence(finding),
            layers=layers,
            judgement=finding.judgement,
            tone_db=best.decibel(best.tone),
            threshold_db=limit,
            tones=self._tones(best, finding),
            phase_variance_db=best.variances({"noise": self.noisy, "given": self.seen}),
            period=output.period,
            output=output.name,
            worst=finding.worst,
            unused=self._unused(),
            contrast=best.reference**0.5,
            trace=self._trace(),
            notes=tuple(self.notes),
            rest_db=best.decibel(parts.rest),
            made_by={grids.name_of(period): index for period, index in parts.made_by.items()},
            spread_db=(best.decibel(min(best.powers)), best.decibel(max(best.powers))),
            grey_levels=best.grey_levels,
            floor_db=best.floor_db,
            squash=best.squash,
            before_squash=best.output.inside is not None,
            other_db=best.other_db,
            texture_db=finding.texture_db,
            spectrum=self._spectrum(output),
            phase_map=self._phase_map(output),
        )
        return verdict.with_seams(report, self._seams(output, best), self.seen.tiled)

    def _content(self, best: Judged) -> dict[str, dict[str, float]]:
        found = {"noise": self.noisy, "given": self.seen}
        return {probe: best.by_period(best.output.tones(run)) for probe, run in found.items()}

    def _tones(self, best: Judged, finding: verdict.Finding) -> dict[str, dict[str, float]]:
        flat = best.by_period(self.flat.tones(best.output))
        tones = {"flat": flat, "ramp": finding.ramp, **finding.content}
        return {probe: dict(values) for probe, values in tones.items() if values}

    def _texture(self, best: Judged) -> float | None:
        """Return the grid on the faintest texture where flat inputs show none and content does; None elsewhere."""
        strongest = max((v for values in self._content(best).values() for v in values.values()), default=grids.FLOOR_DB)
        if best.decibel(best.tone) > best.limit or strongest <= best.limit:
            return None
        return self.flat.texture_db(best.output, self.given, self.generator)

    def _seams(self, output: Output, best: Judged | None) -> float | None:
        """Return the seams of a map that is worked on in tiles, in dB of its contrast; None without tiles."""
        if not self.seen.tiled:
            return None
        flats = probes.flats(self.given, self.dims, self.generator, count=3)
        reference = best.reference if best is not None else output.contrast([self.seen])
        runs = [self.runner.bordered(flat) for flat in flats]
        return grids.decibel(seam_power(output, runs), reference)

    def _spectrum(self, output: Output) -> object:
        noise = grids.centre(output.map(self.noisy), output.period)
        return spectra.mean_power(noise).mean(0).numpy(force=True)

    def _phase_map(self, output: Output) -> object:
        grid = output.pattern(self.flat.strongest(output))
        return grid.reshape(*grid.shape[:2], *output.period).numpy(force=True)

    def _trace(self) -> tuple[Step, ...]:
        """Return the grid in the output of every module, mean over the flat inputs."""
        kinds = {name: type(module).__name__ for name, module in self.model.named_modules()}
        index = {event.index: i for i, group in enumerate(self.groups) for event in group.events}
        return self.flat.trace(kinds, index)


def _kinds(seen: Pass) -> list[tuple[object, ...]]:
    return [(e.path, e.where, e.kind, e.scale) for e in seen.enlargements]
