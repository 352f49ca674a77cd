"""A model before and after a cure: the grid on flat inputs and on images apart, quality, cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import inf, log10, nan
from typing import Any

import torch
from torch import Tensor, nn

from checkerscope.analysis import spectra
from checkerscope.analysis.cost import inference_cost
from checkerscope.analysis.measures.phase_variance import phase_variance
from checkerscope.analysis.measures.tone import LEVELS, flat_tone, unbiased_tone
from checkerscope.toolkit import checks

#: Periods in the middle of a flat input's output that are looked at.
FLAT_PERIODS = 4

#: Maps a model to one number, more is better: the user's own judgement.
Metric = Callable[[nn.Module], float]


@dataclass(frozen=True)
class SharedInputs:
    """What both models are shown.

    Attributes:
        inputs: (N, C, *spatial), at least two.
        targets: What they should make of them; None where that is not known: PSNR is then that of the cured model
            against the original's output, and tone and variance are the output's own.
        period: Of the grid in output pixels.
        margin: Width of the output's border that is left out, in pixels.
        flat_side: Side of the flat inputs; None for the sides of `inputs`, where a model takes no others.
        low: Darkest value of the flat inputs.
        high: Brightest one.
    """

    inputs: Tensor
    targets: Tensor | None
    period: int
    margin: int
    flat_side: int | None = None
    low: float = 0.0
    high: float = 1.0

    @property
    def flat(self) -> Tensor:
        """Constant inputs at five levels inside the range."""
        levels = torch.tensor(LEVELS).to(self.inputs) * (self.high - self.low) + self.low
        own = self.inputs.shape[2:]
        sides = own if self.flat_side is None else (self.flat_side,) * len(own)
        levels = levels.reshape(-1, *(1,) * (self.inputs.dim() - 1))
        return levels.expand(-1, self.inputs.shape[1], *sides).contiguous()


@dataclass(frozen=True)
class Reading:
    """What one model shows.

    Attributes:
        flat_tone: RMS over levels of the tone on constant inputs, output units.
        image_tone: Tone on the images, content's share removed; of the residual where there are targets.
        phase_variance: AC share of the phase variances' power on the images, 0 to 1.
        psnr: dB, against the targets or the original's output; peak 1, or the span of the original's output.
        metric: The user's own number; NaN without one.
        parameters: Number of parameters, parametrizations folded.
        macs: Multiply-accumulates of one input, as torch counts them, parametrizations folded.
    """

    flat_tone: float
    image_tone: float
    phase_variance: float
    psnr: float
    metric: float
    parameters: int
    macs: int


@dataclass(frozen=True)
class Comparison:
    """Both readings, and what changed."""

    before: Reading
    after: Reading

    @property
    def flat_removed(self) -> float:
        """Share of the tone's power on constant inputs that is gone; NaN where there was none, negative if it grew."""
        return removed(self.before.flat_tone, self.after.flat_tone)

    @property
    def image_removed(self) -> float:
        """The same on images."""
        return removed(self.before.image_tone, self.after.image_tone)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; what is not finite becomes None."""
        plain = {
            "before": asdict(self.before),
            "after": asdict(self.after),
            "removed": {"flat": self.flat_removed, "images": self.image_removed},
        }
        return {part: {key: _finite(value) for key, value in values.items()} for part, values in plain.items()}


def _finite(value: float) -> float | None:
    return value if value == value and abs(value) != inf else None


def removed(before: float, after: float) -> float:
    """Return 1 - (after / before)^2, the share of a tone's power that is gone; NaN where there was none.

    >>> removed(0.01, 0.001)
    0.99
    """
    return 1 - (after / before) ** 2 if before > 0 else nan


def compare(before: nn.Module, after: nn.Module, shown: SharedInputs, *, metric: Metric | None = None) -> Comparison:
    """Return what both models make of the same inputs.

    Raises:
        ValueError: If there are fewer than two inputs, the outputs are no maps or differ in shape, or the border
            leaves nothing.
    """
    checks.integer("compare: inputs", len(shown.inputs), minimum=2)
    first, second = _outputs(before, shown.inputs), _outputs(after, shown.inputs)
    checks.shape("compare: cured output", second, tuple(first.shape))
    if shown.targets is None:
        peak = float(first.max() - first.min())
        psnrs = [inf, psnr(second, first, peak)]
    else:
        checks.shape("compare: targets", shown.targets, tuple(first.shape))
        psnrs = [psnr(output, shown.targets, 1.0) for output in (first, second)]
    readings = [
        _reading(model, output, shown, quality, metric)
        for model, output, quality in zip((before, after), (first, second), psnrs, strict=True)
    ]
    return Comparison(*readings)


def _outputs(model: nn.Module, inputs: Tensor) -> Tensor:
    with torch.no_grad():
        outputs = torch.cat([model.eval()(batch) for batch in inputs.split(16)])
    return spectra.check_finite(spectra.check_images(outputs, "compare: output"), "compare: output")


def _reading(model: nn.Module, output: Tensor, shown: SharedInputs, quality: float, metric: Metric | None) -> Reading:
    seen = output if shown.targets is None else output - shown.targets
    inside = spectra.interior(seen, shown.period, shown.margin)
    flat = _outputs(model, shown.flat)
    # what is left is exactly periodic, so a few periods far from the border are as good as many
    deep = max(shown.margin, (min(flat.shape[2:]) - FLAT_PERIODS * shown.period) // 2)
    flat = spectra.interior(flat, shown.period, deep)
    with torch.no_grad():
        judged = nan if metric is None else float(metric(model))
    parameters, macs = inference_cost(model, shown.inputs[:1])
    return Reading(
        flat_tone=flat_tone(flat, shown.period),
        image_tone=unbiased_tone(inside, shown.period),
        phase_variance=phase_variance(inside, shown.period),
        psnr=quality,
        metric=judged,
        parameters=parameters,
        macs=macs,
    )


def psnr(images: Tensor, target: Tensor, peak: float) -> float:
    """Return 10 log10(peak^2 / mean square error), infinite where both are equal."""
    error = float((images.double() - target.double()).square().mean())
    return 10 * log10(peak**2 / error) if error > 0 and peak > 0 else inf
