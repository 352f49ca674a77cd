"""Preflight: builds and tries every arm and measure of a study before anything is trained, in seconds.

Components are code that somebody dropped into a folder; they run with all rights of this process. The preflight finds
mistakes, not malice.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from checkerscope.experiments.errors import STOPPING, STOPS, one_line
from checkerscope.experiments.execution import evaluate
from checkerscope.experiments.study import build
from checkerscope.experiments.study.build import Examples
from checkerscope.experiments.study.config import Measuring
from checkerscope.experiments.study.grid import Run
from checkerscope.experiments.study.spec import RunSpec
from checkerscope.toolkit.contracts.upsampler import Upsampler
from checkerscope.toolkit.training.devices import check_precision

#: Seconds that building and trying one arm, or its measures, may take; a loop without an end is known by its length.
TIMEOUT = 120.0
#: Variables that torch sets when its compiler is imported, which a part of torch may do at any time.
TORCHS_OWN = ("TORCHINDUCTOR_", "TRITON_")
#: Images that measures are tried on.
TRIED_IMAGES = 2


class _TimeUp(BaseException):
    """Building or trying an arm took too long; no `except Exception` of a component stops it."""


def check_runs(runs: Iterable[Run], measuring: Measuring, device: torch.device) -> None:
    """Check what differs of some runs once: precisions, networks, and measures of networks.

    Raises:
        ValueError: As the checks of one of them do.
    """
    checked: set[str] = set()
    for run in runs:
        check_precision(run.spec.train.precision, device)
        other: Any = {"seed": True, "train": set(type(run.spec.train).model_fields) - {"loss"}}
        built = run.spec.model_dump_json(exclude=other)
        # what kernels start from decides nothing about whether a measure can be taken
        measured = run.spec.model_dump_json(exclude={**other, "initializer": True})
        if built not in checked:
            check_arm(run.spec, run.arm)
        if measured not in checked:
            check_measures(run.spec, run.arm, measuring.measures, measuring.asked)
        checked |= {built, measured}


def check_arm(spec: RunSpec, arm: str) -> None:
    """Build one arm and try it on one image: sizes, numbers, gradients, repeatability, and what it does to the process.

    Raises:
        ValueError: Naming the arm and, where it is the upsampler's doing, the upsampler's file.
    """
    try:
        with _time_limit(TIMEOUT), _unchanged_process():
            sample = build.data(spec, "train").first(1)
            network = build.cured(spec, _repeatable_build(spec, sample), sample, fit=False)
            for position, upsampler in enumerate(network.upsamplers):  # type: ignore[arg-type]
                watcher = _Watcher(spec.upsampler.name, position)
                upsampler.register_forward_pre_hook(watcher.before)
                upsampler.register_forward_hook(watcher.after)
            _try_forward(network.eval(), sample)
            _try_backward(network.train(), sample)
    except STOPS:
        raise
    except BaseException as error:  # a component may raise anything
        raise ValueError(f"{arm}: {_describe(error, spec)}") from error


def check_measures(spec: RunSpec, arm: str, measures: Sequence[str], asked: Mapping[str, int]) -> None:
    """Take every measure of an arm's untrained network once.

    Args:
        spec: Of one of the arm's runs.
        arm: Its label.
        measures: Names of the measures.
        asked: As `measuring.measure_run`: number of `images`, `margin`.

    Raises:
        ValueError: Naming the arm and the measure that fails, takes too long or changes the process.
    """
    for name in measures:
        try:
            with _time_limit(TIMEOUT), _unchanged_process():
                _try_measure(spec, name, asked)
        except STOPS:
            raise
        except BaseException as error:  # a measure may raise anything
            why = str(error) if isinstance(error, ValueError | _TimeUp) else one_line(error)
            raise ValueError(f"{arm}: {name}: {why}; change [measure], or leave {name} out") from error


def _try_measure(spec: RunSpec, name: str, asked: Mapping[str, int]) -> None:
    """Take a measure on a few images; what refuses so few is given all that it will get."""
    held_out = build.data(spec, "test").first(asked["images"])
    network = build.architecture(spec, held_out)
    few = held_out.first(TRIED_IMAGES)
    try:
        with evaluate.trial(spec, network, few, margin=asked["margin"]) as trial:
            evaluate.take(name, trial)
    except Exception:
        if len(few.inputs) == len(held_out.inputs):
            raise
        with evaluate.trial(spec, network, held_out, margin=asked["margin"]) as trial:
            evaluate.take(name, trial)


def _describe(error: BaseException, spec: RunSpec) -> str:
    if isinstance(error, ValueError):  # the project's own complaints name their subject
        return str(error)
    where = _origin(error) or spec.upsampler.name
    return f"{where}: {error}" if isinstance(error, _TimeUp) else f"{where}: {one_line(error)}"


def _origin(error: BaseException) -> str:
    """Return the file and line of a component in which an exception was raised, or nothing."""
    trace, found = error.__traceback__, ""
    while trace is not None:
        path = trace.tb_frame.f_code.co_filename
        if f"{os.sep}toolkit{os.sep}" in path:
            found = f"{os.path.basename(path)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


class _Watcher:
    """Forward hooks that check what an upsampler made of its input, and did to it."""

    def __init__(self, name: str, position: int) -> None:
        self.where = f"{name} (upsampler {position})"
        self.copy = torch.empty(0)

    def before(self, module: Upsampler, inputs: tuple[Tensor, ...]) -> None:
        """Keep the input."""
        self.copy = inputs[0].detach().clone()

    def after(self, module: Upsampler, inputs: tuple[Tensor, ...], output: Any) -> None:
        """Check the type, shape, dtype and numbers of an output."""
        x = inputs[0]
        if not torch.equal(x, self.copy):
            raise ValueError(f"{self.where}: expected its input to stay as it is, got it changed; write into a copy")
        if not isinstance(output, Tensor):
            raise ValueError(f"{self.where}: expected a tensor, got {type(output).__name__}")
        expected = (len(x), module.out_channels, *(module.scale * side for side in x.shape[2:]))
        if tuple(output.shape) != expected:
            raise ValueError(f"{self.where}: expected an output of shape {expected}, got {tuple(output.shape)}")
        if (output.dtype, output.device) != (x.dtype, x.device):
            raise ValueError(f"{self.where}: expected {x.dtype} on {x.device}, got {output.dtype} on {output.device}")
        if not bool(torch.isfinite(output).all()):
            raise ValueError(f"{self.where}: expected finite numbers, got NaN or infinity from a finite input")


def _repeatable_build(spec: RunSpec, sample: Examples) -> nn.Module:
    first, second = build.model(spec, sample), build.model(spec, sample)
    theirs = second.state_dict()
    for name, weight in first.state_dict().items():
        if not torch.equal(weight, theirs[name]):
            raise ValueError(
                f"{name}: expected the same weights each time it is built under one seed, got others;"
                " draw from torch's generator only"
            )
    return first


def _try_forward(network: nn.Module, sample: Examples) -> None:
    before = sample.inputs.clone()
    with torch.no_grad():
        first, second = network(sample.inputs), network(sample.inputs)
    if not torch.equal(before, sample.inputs):
        raise ValueError("expected the input to stay as it is, got it changed; write into a copy")
    if first.shape != sample.targets.shape:
        expected, got = tuple(sample.targets.shape), tuple(first.shape)
        raise ValueError(f"expected an output of shape {expected}, got {got}")
    if not torch.equal(first, second):
        raise ValueError("expected the same output twice from one input in eval mode, got two outputs")


def _try_backward(network: nn.Module, sample: Examples) -> None:
    first, second = network(sample.inputs), network(sample.inputs)
    if not torch.equal(first, second):
        raise ValueError(
            "expected the same output twice from one input in train mode, got two; a study repeats to the bit, so a"
            " component draws no random numbers while it runs"
        )
    if not first.requires_grad:
        raise ValueError("expected an output with gradients, got one without; leave out detach() and .data")
    first.square().mean().backward()
    for name, parameter in network.named_parameters():
        if parameter.requires_grad and parameter.grad is None:
            raise ValueError(f"{name}: expected a gradient, got none; detach(), .data, or a parameter without use")
        if parameter.grad is not None and not bool(torch.isfinite(parameter.grad).all()):
            raise ValueError(f"{name}: expected finite gradients, got NaN or infinity")


@contextlib.contextmanager
def _unchanged_process() -> Iterator[None]:
    """Refuse code that changes what the whole process shares, and put it back."""
    before, failure = _shared_state(), None
    try:
        yield
    except RuntimeError as error:  # what torch says of a changed default is a consequence, not the cause
        failure = error
    finally:
        after = _shared_state()
        changed = [name for name in before if before[name] != after[name]]
        _restore(before)
    if changed:
        said = "; ".join(f"{name} from {_short(before[name])} to {_short(after[name])}" for name in changed)
        raise ValueError(f"expected the state of the process to stay as it is, got a change of {said}") from failure
    if failure is not None:
        raise failure


def _shared_state() -> dict[str, Any]:
    numpys: Any = np.random.get_state()  # noqa: NPY002 - only looked at
    name, keys, *rest = numpys
    return {
        "torch's generator": torch.get_rng_state().numpy().tobytes(),
        "numpy's generator": (name, keys.tobytes(), *rest),
        "Python's generator": random.getstate(),
        "default dtype": torch.get_default_dtype(),
        "default device": torch.get_default_device(),
        "threads": torch.get_num_threads(),
        "gradient mode": torch.is_grad_enabled(),
        "deterministic mode": torch.are_deterministic_algorithms_enabled(),
        "working directory": os.getcwd(),
        "environment": {name: value for name, value in os.environ.items() if not name.startswith(TORCHS_OWN)},
        "signal handlers": [signal.getsignal(number) for number in STOPPING],
    }


def _restore(state: dict[str, Any]) -> None:
    torch.set_rng_state(torch.frombuffer(bytearray(state["torch's generator"]), dtype=torch.uint8))
    name, keys, *rest = state["numpy's generator"]
    np.random.set_state((name, np.frombuffer(keys, dtype=np.uint32), *rest))  # noqa: NPY002 - put back as it was
    random.setstate(state["Python's generator"])
    torch.set_default_dtype(state["default dtype"])
    torch.set_default_device(state["default device"])
    torch.set_num_threads(state["threads"])
    torch.set_grad_enabled(state["gradient mode"])
    if torch.are_deterministic_algorithms_enabled() != state["deterministic mode"]:  # to set it imports half of torch
        torch.use_deterministic_algorithms(state["deterministic mode"])
    os.chdir(state["working directory"])
    for number, handler in zip(STOPPING, state["signal handlers"], strict=True):
        if signal.getsignal(number) != handler:
            signal.signal(number, handler)
    torchs = {name: value for name, value in os.environ.items() if name.startswith(TORCHS_OWN)}
    os.environ.clear()
    os.environ.update(state["environment"] | torchs)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 40 else "one state"


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Interrupt what takes longer; only the main thread can be interrupted, so elsewhere there is no limit."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(number: int, frame: object) -> None:
        raise _TimeUp(f"did not end within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
