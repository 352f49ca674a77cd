"""Running the audited model: seeded, explained when it fails, refused when it returns what is not finite."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from checkerscope.analysis.audit.probing import guard, probes
from checkerscope.analysis.audit.probing.probes import Arguments
from checkerscope.analysis.audit.probing.sizes import Kernels
from checkerscope.analysis.audit.tracing import returned
from checkerscope.analysis.audit.tracing.modules import Paths
from checkerscope.analysis.audit.tracing.plan import Plan
from checkerscope.analysis.audit.tracing.run import Pass, forward
from checkerscope.analysis.audit.tracing.statistics import Statistics
from checkerscope.toolkit import checks


class Runner:
    """Runs one model on one kind of input.

    Attributes:
        model: The model.
        dims: Its spatial axes.
        paths: The stack of its running modules.
        statistics: Of its maps on the example.
    """

    def __init__(self, model: nn.Module, *, dims: int, seed: int) -> None:
        self.model, self.dims, self.seed = model, dims, seed
        self.paths, self.statistics = Paths(model), Statistics()

    def example(self, given: Arguments) -> Pass:
        """Run on an example and keep the statistics of its maps."""
        self.statistics = Statistics()
        return self._run(given, Plan(statistics=self.statistics), "the example input")

    def content(self, given: Arguments, what: str) -> Pass:
        """Run as it is on other content."""
        return self._run(given, Plan(), what)

    def flat(self, given: Arguments, **plan: Any) -> Pass:
        """Run on a periodic map that is flat, with the statistics of the example."""
        return self._held(given, flat_inputs=True, **plan)

    def periodic(self, given: Arguments) -> Pass:
        """Run on a periodic map with the statistics of the example."""
        return self._held(given)

    def live(self, given: Arguments) -> Pass:
        """Run on a periodic map with its own statistics."""
        return self._run(given, Plan(circular=True), "a periodic map")

    def bordered(self, given: Arguments) -> Pass:
        """Run on a map with its border, with the statistics of the example."""
        return self._run(given, Plan(statistics=self.statistics, is_held=True), "a flat input")

    def _held(self, given: Arguments, **plan: Any) -> Pass:
        how = Plan(circular=True, statistics=self.statistics, is_held=True, **plan)
        return self._run(given, how, "a periodic map")

    def _run(self, given: Arguments, plan: Plan, what: str) -> Pass:
        guard.reseed(self.seed)
        args, kwargs = probes.copied(given)
        with explained(what, given):
            run = forward(self.model, args, kwargs, spatial_dims=self.dims, plan=plan, paths=self.paths)
        return refuse_infinite(run, what)


def refuse_infinite(run: Pass, what: str) -> Pass:
    """Return the pass.

    Raises:
        ValueError: If what the model returned on it is not finite.
    """
    _check_finite(run.output, what)
    return run


def _check_finite(output: Any, what: str) -> None:
    if any(not bool(torch.isfinite(x).all()) for _, x in returned.tensors(output)):
        fix = "load trained weights or rescale"
        raise checks.mismatch("audit: output", "finite values", f"NaN or infinity on {what}", fix)


def plain(model: nn.Module, given: Arguments, seed: int) -> tuple[Any, Counter[int]]:
    """Return the output on the example and the spatial axes of what ran; the one place where a wrong input shows."""
    guard.reseed(seed)
    args, kwargs = probes.copied(given)
    kernels = Kernels()
    with torch.no_grad(), explained("the example input", given), kernels:
        output = returned.settled(model(*args, **kwargs))
    _check_finite(output, "the example input")
    return output, kernels.axes


@contextmanager
def explained(what: str, given: Arguments) -> Iterator[None]:
    """Turn whatever the model raises into one line that says on which input."""
    try:
        yield
    except Exception as error:
        shapes = [tuple(x.shape) for x in probes.inputs(given)]
        raise ValueError(
            f"audit: the model fails on {what} {shapes}: {type(error).__name__}: {first_line(error)}"
        ) from error


def first_line(error: BaseException) -> str:
    """Return what an exception says, one line; some cannot be printed."""
    try:
        return (str(error).strip().splitlines() or ["no message"])[0]
    except Exception:
        return "(it cannot be printed)"
