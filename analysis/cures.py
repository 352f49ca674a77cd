"""The cures of an audited model: each was applied to a copy and audited again before it is named."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import log10
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from checkerscope.analysis.audit.grids import FLOOR_DB
from checkerscope.analysis.audit.probing import probes
from checkerscope.analysis.audit.procedure import audit
from checkerscope.analysis.audit.report import Report
from checkerscope.analysis.cost import inference_cost
from checkerscope.toolkit import catalog
from checkerscope.toolkit.contracts.remedy import PACKAGE
from checkerscope.toolkit.remedies._running import evaluating

#: A model of more parameters is not copied for every cure.
MOST_PARAMETERS = 500_000_000
#: Inputs that a remedy is fitted to, and what a step of a fit takes in forward passes of one example.
FITTED = 16
STEP = 20.0
#: Characters in a line of the list.
WIDTH = 80
#: A cure that takes less off the tone is none.
LEAST_DB = 10.0


@dataclass(frozen=True)
class TriedCure:
    """What a remedy did to a copy of the model.

    Attributes:
        name: File in `toolkit/remedies`.
        options: With which it was applied.
        clean: The tone lies below the limit now.
        tone_db: Tone on flat inputs, relative to the contrast of the cured output.
        change_db: Mean square change of the output on the example, relative to the contrast of the output before.
        parameters: How many more the cured model has.
        macs: Multiply-accumulates of the cured model over those before; None where it has none.
        promise: What the remedy promises.
        cost: What the remedy says that it costs.
    """

    name: str
    options: dict[str, Any]
    clean: bool
    tone_db: float
    change_db: float
    parameters: int
    macs: float | None
    promise: str
    cost: str


@dataclass(frozen=True)
class Trials:
    """All that was tried.

    Attributes:
        cures: Those that help, the least change of the output first among those that make it clean.
        refused: Why the others do not apply or do not help, by name and options.
        untried: Why some were not tried; empty if all were.
    """

    cures: tuple[TriedCure, ...]
    refused: dict[str, str]
    untried: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def try_cures(
    model: nn.Module, example_input: Any, report: Report, *, seconds: float = 60.0, spatial_dims: int | None = None
) -> Trials:
    """Return the remedies that cure an audited model, each applied to a copy and audited again.

    Args:
        model: As it was audited.
        example_input: As it was given to the audit.
        report: What the audit returned.
        seconds: After that long no further remedy is begun.
        spatial_dims: As it was given to the audit.

    >>> layer = nn.ConvTranspose2d(1, 1, 3, 2, 1, 1)
    >>> x = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    >>> tried = try_cures(layer, x, audit(layer, x))
    >>> all(cure.clean for cure in tried.cures), tried.refused["icnr"]
    (True, 'transposed convolution: kernel: expected a multiple of the stride 2, got 3; use kernel_size=4')
    """
    if report.clean or not report.layers:
        return Trials((), {})
    count = sum(p.numel() for p in model.parameters())
    if count > MOST_PARAMETERS:
        return Trials((), {}, f"no cure was tried on {count:,} parameters; use checkerscope cure")
    return _Trial(model, example_input, report, spatial_dims).run(time.monotonic() + seconds)


class _Trial:
    def __init__(self, model: nn.Module, example: Any, report: Report, spatial_dims: int | None) -> None:
        self._model, self._example, self._report, self._dims = model, example, report, spatial_dims
        self._args, self._kwargs = probes.arguments(example)
        start = time.monotonic()
        self._before = _output(model, self._args, self._kwargs)
        self._forward_seconds = time.monotonic() - start
        self._cost = inference_cost(model, *self._args, **self._kwargs)

    def run(self, end: float) -> Trials:
        """Try one remedy after the other until the time is over."""
        cures, refused, untried = [], {}, []
        for component, options in self._candidates():
            name = described(component.name, options)
            steps = options.get("steps", 0)
            if time.monotonic() + STEP * steps * self._forward_seconds > end:
                untried.append(name)
                continue
            try:
                cure = self._tried(component, options)
            except Exception as error:  # somebody's model may raise anything with a layer more
                why = (str(error).splitlines() or [type(error).__name__])[0]
                refused[name] = why.removeprefix(f"{component.name}: ")
                continue
            if cure.clean or cure.tone_db <= (self._report.tone_db or 0.0) - LEAST_DB:
                cures.append(cure)
            else:
                refused[name] = f"leaves a tone of {cure.tone_db:.1f} dB"
        cures.sort(key=lambda cure: (not cure.clean, cure.change_db))
        return Trials(tuple(cures), refused, f"no time for {', '.join(untried)}" if untried else "")

    def _candidates(self) -> Iterator[tuple[catalog.Component, dict[str, Any]]]:
        """Yield the remedies that cure and need no data, with the options that they say are worth a try."""
        for component in catalog.describe(PACKAGE):
            flags = component.flags
            if not flags.get("cures", True) or flags.get("promise") == "needs data":
                continue
            for options in flags.get("trials", ({},)):
                given = dict(options)
                if given.get("places") == "output":
                    given["period"] = list(self._report.period)
                yield component, given

    def _tried(self, component: catalog.Component, options: dict[str, Any]) -> TriedCure:
        given: dict[str, Any] = {"example": self._example} if "example" in component.options else {}
        if "inputs" in component.options and component.flags.get("promise") == "approximate":
            given["inputs"] = self._inputs()
        remedy = catalog.load(PACKAGE, component.name)
        with torch.random.fork_rng():
            cured = remedy.apply(self._model, **given, **options).eval()
        after = audit(cured, self._example, spatial_dims=self._dims, threshold_db=self._report.threshold_db)
        cost = inference_cost(cured, *self._args, **self._kwargs)
        return TriedCure(
            component.name,
            options,
            after.clean,
            0.0 if after.tone_db is None else after.tone_db,
            self._change(cured),
            cost.parameters - self._cost.parameters,
            cost.macs / self._cost.macs if self._cost.macs else None,
            str(component.flags.get("promise", "")),
            str(component.flags.get("cost", "")),
        )

    def _inputs(self) -> Tensor:
        """Return what to fit on: noise of the example's mean and deviation, so that the example stays unseen."""
        if len(self._args) != 1 or self._kwargs or not self._args[0].is_floating_point():
            raise ValueError("expected a model of one map to fit, got several inputs or indices")
        x: Tensor = self._args[0]
        noise = torch.randn(FITTED, *x.shape[1:], generator=torch.Generator().manual_seed(0)).to(x)
        return x.mean() + x.std(correction=0) * noise

    def _change(self, cured: nn.Module) -> float:
        after = _output(cured, self._args, self._kwargs)
        if after.shape != self._before.shape:
            raise ValueError(f"the output has shape {tuple(after.shape)}, before {tuple(self._before.shape)}")
        axes = tuple(range(2, self._before.dim()))
        contrast = (self._before - self._before.mean(axes, keepdim=True)).square().mean()
        change = float((after - self._before).square().mean() / contrast.clamp_min(1e-300))
        return 10 * log10(change) if change > 0 else float("-inf")


def _output(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """Return the largest map that the model returns in evaluation mode, float64."""
    with evaluating(model):
        torch.manual_seed(0)
        found = pytree.tree_leaves(model(*args, **kwargs))
    maps = [x for x in found if isinstance(x, Tensor) and x.is_floating_point()]
    return max(maps, key=Tensor.numel).double()


def described(name: str, options: dict[str, Any]) -> str:
    """Return a remedy with its options as for the command line: "hold places=output period=4".

    >>> described("hold", {"places": "output", "period": [4, 4]})
    'hold places=output period=4'
    """
    texts = []
    for key, value in options.items():
        same = isinstance(value, list) and len(set(value)) == 1
        texts.append(f"{key}={value[0] if same else value}".replace(" ", ""))
    return " ".join([name, *texts])


def _lines(trials: Trials) -> list[str]:
    """Return a table of what helps, then what does not and why."""
    found = ["cures, each tried on a copy: tone after, change of the output, price"]
    for cure in trials.cures:
        macs = "" if cure.macs is None else f", MACs {cure.macs - 1:+.0%}"
        over = "" if cure.clean else " (over the limit)"
        after = "none" if cure.tone_db <= FLOOR_DB else f"{cure.tone_db:.1f} dB"
        price = f"parameters {cure.parameters:+,}{macs}"
        found += _folded(
            f"{described(cure.name, cure.options)}: {after}{over}; {cure.change_db:+.1f} dB; {price}", "  "
        )
        found += _folded(f"{cure.promise}; {cure.cost}", "      ")
    if not trials.cures:
        found.append("  none helps")
    for name, why in trials.refused.items():
        found += _folded(f"not {name}: {why}", "  ")
    return found + (_folded(trials.untried, "  ") if trials.untried else [])


def _folded(line: str, indent: str) -> list[str]:
    return textwrap.wrap(line, WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ", break_long_words=False)
