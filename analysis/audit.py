"""Audit of any network: which layer makes the grid, how strong it is at the output, and what cures it.

One forward pass is watched operator by operator (`analysis.tracing`), so that every enlargement counts, whatever
makes it. Then the model answers flat inputs on a periodic map, where padding has no border: all that its output shows
is a fixed grid, the tone. Making the first 1, 2, ... enlargements' outputs flat as well takes the tone apart, exactly,
into what each layer adds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from analysis import spectra
from analysis.audit_report import THRESHOLD_DB, Layer, Report
from analysis.audit_verdict import layer_of, verdict
from analysis.tracing import guard, phases, probes
from analysis.tracing.enlargements import Pass, forward
from analysis.tracing.ledger import Period, whole
from analysis.tracing.paths import Paths
from analysis.tracing.probes import Arguments
from analysis.tracing.watch import Enlargement, Plan
from toolkit import checks

#: Flat inputs that the tone is the mean of.
FLAT_INPUTS = 3
#: Classes that enlarge, for those that are never executed: nothing else tells of them.
ENLARGING = (
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
    nn.Upsample,
    nn.PixelShuffle,
    nn.MaxUnpool1d,
    nn.MaxUnpool2d,
    nn.MaxUnpool3d,
    nn.Fold,
)


def audit(
    model: nn.Module,
    example_input: Any,
    *,
    spatial_dims: int | None = None,
    threshold_db: float = THRESHOLD_DB,
    seed: int = 0,
) -> Report:
    """Return which layers of `model` enlarge their map and what grid they leave in its output.

    The model runs in eval mode about ten times without gradients; weights, buffers, mode and all random generators
    are as before afterwards, also after an exception. On flat inputs convolutions and padding are circular.

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
    try:
        with torch.no_grad():
            output = _call(model, given)
    except Exception as error:
        shapes = [tuple(t.shape) for _, t in probes.tensors(given)]
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"audit: the model fails on the example input {shapes}: {type(error).__name__}: {why}"
        ) from error
    if any(not phases.is_finite(t) for _, t in probes.tensors(output)):
        raise checks.mismatch("audit: output", "finite values", "NaN or infinity", "load trained weights or rescale")
    return output


def _call(model: nn.Module, given: Arguments) -> Any:
    args, kwargs = probes.copied(given)
    return model(*args, **kwargs)


@dataclass
class _Judged:
    """One output of the model that carries a grid."""

    name: str
    periods: frozenset[Period]
    tone: float = 0.0
    reference: float = 1.0


class _Audit:
    def __init__(
        self, model: nn.Module, given: Arguments, plain: Any, *, dims: int, threshold_db: float, seed: int
    ) -> None:
        self.model, self.given, self.plain, self.dims = model, given, plain, dims
        self.threshold_db, self.seed = threshold_db, seed
        self.paths = Paths(model)
        self.generator = torch.Generator().manual_seed(seed)

    def report(self) -> Report:
        """Run all probes and put the findings together."""
        seen = self._run(self.given, Plan())
        unused = self._unused(seen.enlargements)
        if not seen.enlargements:
            return Report(True, "Nothing to judge: no layer enlarges its map.", (), unused=unused)
        judged = self._outputs(seen)
        if not judged:
            layers = tuple(layer_of(e, None, self.threshold_db) for e in seen.enlargements)
            return Report(True, "Clean: no enlargement leaves a fixed lattice in the output.", layers, unused=unused)
        noisy = self._plainly(probes.noise(self.given, self.dims, self.generator))
        inputs = [probes.flat(self.given, self.dims, self.generator) for _ in range(FLAT_INPUTS)]
        flats = [self._run(x, Plan(circular=True, flat_inputs=True)) for x in inputs]
        worst = self._judge(judged, flats, noisy)
        layers = self._layers(seen.enlargements, worst, inputs[0], flats[0])
        return self._summary(worst, layers, flats, noisy, unused)

    # running the model

    def _run(self, given: Arguments, plan: Plan) -> Pass:
        guard.reseed(self.seed)
        args, kwargs = probes.copied(given)
        return forward(self.model, args, kwargs, spatial_dims=self.dims, plan=plan, paths=self.paths)

    def _plainly(self, given: Arguments) -> Any:
        guard.reseed(self.seed)
        with torch.no_grad():
            return _call(self.model, given)

    def _outputs(self, seen: Pass) -> list[_Judged]:
        found = []
        for name, tensor in probes.tensors(seen.output):
            lineage = seen.lineage(tensor)
            if lineage is not None and lineage.periods and self.dims + 1 <= tensor.dim() <= self.dims + 2:
                found.append(_Judged(name, lineage.periods))
        return found

    def _map(self, output: Any, name: str) -> Tensor:
        tensor = dict(probes.tensors(output))[name]
        return tensor if tensor.dim() == self.dims + 2 else tensor.unsqueeze(1)

    # judging

    def _judge(self, judged: Sequence[_Judged], flats: Sequence[Pass], noisy: Any) -> _Judged:
        """Fill in tone and reference of every output, and return the one with the strongest tone."""
        for output in judged:
            period = self._period(output)
            maps = [self._map(flat.output, output.name) for flat in flats]
            output.tone = _mean(phases.tone_power(phases.centre(x, period), period) for x in maps)
            seen = [self._map(x, output.name) for x in (self.plain, noisy)]
            contrast = max(phases.contrast(x, self.dims) for x in seen)
            # an output that never varies is judged against its level
            output.reference = contrast or max(phases.level(x, self.dims) for x in seen) or 1.0
        return max(judged, key=lambda output: output.tone / output.reference)

    def _period(self, output: _Judged) -> Period:
        return whole(output.periods, self.dims)

    def _layers(self, seen: Sequence[Enlargement], output: _Judged, given: Arguments, first: Pass) -> tuple[Layer, ...]:
        """Make the outputs of the first 0, 1, ... enlargements flat; differences are what each layer adds."""
        period = self._period(output)
        before, current = self._pattern(first, output.name, period), first
        layers = []
        for index, event in enumerate(seen):
            own = current.enlargements[index].own_tone if index < len(current.enlargements) else None
            current = self._run(given, Plan(circular=True, flat_inputs=True, flat_outputs=index + 1))
            after = self._pattern(current, output.name, period)
            left = phases.decibel(float((before - after).square().mean()), output.reference)
            layers.append(layer_of(event, left, self.threshold_db, own))
            before = after
        return tuple(layers)

    def _pattern(self, run: Pass, name: str, period: Period) -> Tensor:
        return phases.pattern(phases.centre(self._map(run.output, name), period), period)

    # putting together

    def _summary(
        self, output: _Judged, layers: tuple[Layer, ...], flats: Sequence[Pass], noisy: Any, unused: tuple[str, ...]
    ) -> Report:
        tone_db = phases.decibel(output.tone, output.reference)
        maps = {
            "flat": [self._map(flat.output, output.name) for flat in flats],
            "noise": [self._map(noisy, output.name)],
            "given": [self._map(self.plain, output.name)],
        }
        strengths = [phases.FLOOR_DB if layer.output_db is None else layer.output_db for layer in layers]
        worst = strengths.index(max(strengths))
        clean = tone_db <= self.threshold_db
        period = self._period(output)
        noise = phases.centre(maps["noise"][0], period)
        tones, ramp = {probe: self._tones(output, x) for probe, x in maps.items()}, self._ramp_tones(output)
        return Report(
            clean=clean,
            verdict=verdict(clean, tone_db, self.threshold_db, layers, worst) + self._warning(clean, ramp, layers),
            layers=layers,
            tone_db=tone_db,
            threshold_db=self.threshold_db,
            tones=tones | ({"ramp": ramp} if ramp else {}),
            phase_variance_db={probe: self._variances(output, maps[probe]) for probe in ("noise", "given")},
            period=period,
            output=output.name,
            worst=worst if strengths[worst] > phases.FLOOR_DB else None,
            unused=unused,
            contrast=output.reference**0.5,
            spectrum=spectra.mean_power(noise).mean(0).numpy(force=True),
            phase_map=self._pattern(flats[0], output.name, period).reshape(*noise.shape[:2], *period).numpy(force=True),
        )

    def _tones(self, output: _Judged, maps: Sequence[Tensor]) -> dict[str, float]:
        found = [phases.tone_by_period(x, output.periods) for x in maps]
        return {
            phases.name_of(p): phases.decibel(_mean(tones[p] for tones in found), output.reference) for p in found[0]
        }

    def _ramp_tones(self, output: _Judged) -> dict[str, float]:
        """Return the grid that runs across a ramp, which itself and any staircase it becomes run along."""
        found: dict[str, list[float]] = {}
        for axis in range(self.dims):
            run = self._run(probes.ramp(self.given, self.dims, axis), Plan(circular=True))
            x, periods = phases.across(self._map(run.output, output.name), axis, output.periods)
            for period, power in phases.tone_by_period(x, periods).items():
                found.setdefault(str(max(period)), []).append(power)
        return {name: phases.decibel(_mean(powers), output.reference) for name, powers in sorted(found.items())}

    def _warning(self, clean: bool, ramp: dict[str, float], layers: Sequence[Layer]) -> str:
        """Return a hint where the grid shows on slopes only and a shuffle has its axes in the unusual order."""
        swapped = [layer.name for layer in layers if "order (w h)" in layer.note]
        if not (clean and swapped and max(ramp.values(), default=phases.FLOOR_DB) > self.threshold_db):
            return ""
        strength = max(ramp.values())
        named = ", ".join(swapped)
        return f" But a grid of {strength:.1f} dB runs across slopes: check the sub-pixel order of {named}."

    def _variances(self, output: _Judged, maps: Sequence[Tensor]) -> dict[str, float]:
        found = {}
        for period in sorted(output.periods):
            spread = _mean(phases.phase_variance(phases.centre(x, period), period) for x in maps)
            if spread == spread:  # NaN: too few cells, or nothing varies
                found[phases.name_of(period)] = phases.decibel(spread, 1.0)
        return found

    def _unused(self, seen: Sequence[Enlargement]) -> tuple[str, ...]:
        used = {event.taps.weight.untyped_storage().data_ptr() for event in seen if event.taps is not None}
        names = []
        for name, module in self.model.named_modules():
            weight = getattr(module, "weight", None)
            is_used = isinstance(weight, Tensor) and weight.untyped_storage().data_ptr() in used
            if isinstance(module, ENLARGING) and _enlarges(module) and name not in self.paths.visited and not is_used:
                names.append(name)
        return tuple(names)


def _enlarges(module: nn.Module) -> bool:
    """Return whether a layer that was not executed would enlarge."""
    if isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d):
        return max(module.stride) > 1
    if isinstance(module, nn.PixelShuffle):
        return module.upscale_factor > 1
    if isinstance(module, nn.Upsample) and module.scale_factor is not None:
        factors = module.scale_factor if isinstance(module.scale_factor, tuple) else (module.scale_factor,)
        return max(factors) > 1
    return True


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed)
