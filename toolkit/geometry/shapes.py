"""Shapes through a network, layer by layer, with the size formula filled in and the first wrong size marked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from checkerscope.toolkit import checks
from checkerscope.toolkit.contracts.upsampler import Upsampler
from checkerscope.toolkit.geometry.modules import CONVOLUTIONS, TRANSPOSED, formula, nominal_factor

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """One layer, or one function that changes the size.

    Attributes:
        name: Dotted name of the module, or the function's name in brackets.
        kind: Class or function name.
        input: Shape of what it read; of its last input if there were several.
        output: Shape of what it returned.
        formula: The size with its numbers filled in, for the first axis and further ones that differ.
        factors: Nominal enlargement per spatial axis.
        parent: Index of the row whose output it read; -1 for the network's input.
        needed: Spatial size that would have fitted, as fractions of pixels; () where nothing is wrong.
    """

    name: str
    kind: str
    input: Shape
    output: Shape
    formula: str
    factors: tuple[Fraction, ...]
    parent: int
    needed: tuple[Fraction, ...] = ()


@dataclass(frozen=True)
class Trace:
    """What came of a forward pass.

    Attributes:
        rows: In the order in which they ran.
        output: Shape of the result; None if the network failed.
        problem: What did not fit, in one line; empty if everything did.
        first_wrong: Index of the first row whose size differs from what was needed; -1 if none.
    """

    rows: tuple[Row, ...]
    output: Shape | None
    problem: str
    first_wrong: int


def trace(model: nn.Module, example: Tensor, *, target: Shape | None = None) -> Trace:
    """Return the shapes of every layer when the model reads `example`, without gradients, in eval mode.

    Sizes are needed by a `target`, and by operations on two tensors, such as a skip connection. What a layer should
    have returned is found by going back from there and undoing each layer's nominal factor (stride, scale), so a
    pooling that rounds down is marked where it happens and not where the sizes meet.

    Args:
        model: Any module that takes one tensor.
        example: Its input, (N, C, *spatial).
        target: Spatial size that the result should have; None to accept any.

    >>> found = trace(nn.ConvTranspose2d(1, 1, 3, 2, 1), torch.zeros(1, 1, 4, 4), target=(8, 8))
    >>> found.rows[0].formula
    '(4 - 1) * 2 - 2 * 1 + 1 * (3 - 1) + 0 + 1 = 7'
    >>> found.problem
    'the result has size 7 x 7, the target 8 x 8'
    """
    recorder, was_training = _Recorder(model, example), model.training
    output: Any = None
    failure: Exception | None = None
    try:
        with recorder, torch.no_grad():
            output = model.eval()(example)
    except Exception as error:  # whatever the network raises is what is reported
        failure = error
    finally:
        recorder.detach()
        model.train(was_training)
    return _judge(recorder, output, failure, target)


def _judge(recorder: _Recorder, output: Any, failure: Exception | None, target: Shape | None) -> Trace:
    rows = recorder.rows
    if failure is not None:
        message = str(failure).splitlines()[0]
        clash = _clash(recorder.pending)
        if clash is None:
            return Trace(tuple(rows), None, f"{recorder.running or 'the network'}: {message}", -1)
        wanted, last, got = clash
        problem = f"{recorder.running}: sizes {_times(wanted)} and {_times(got)} meet"
        return _blame(rows, last, wanted, Trace(tuple(rows), None, problem, last))
    shape = tuple(output.shape) if isinstance(output, Tensor) else None
    done = Trace(tuple(rows), shape, "", -1)
    if target is None or shape is None or shape[2:] == tuple(target):
        return done
    if len(target) != len(shape) - 2:
        raise checks.mismatch("target", f"{len(shape) - 2} lengths", tuple(target))
    problem = f"the result has size {_times(shape[2:])}, the target {_times(target)}"
    return _blame(rows, recorder.origin(output), tuple(target), replace(done, problem=problem))


def _blame(rows: list[Row], last: int, wanted: Shape, found: Trace) -> Trace:
    """Return the trace with the sizes that were needed, from row `last` back to the input."""
    needed = tuple(map(Fraction, wanted))
    chain, row = {}, last
    while row >= 0 and len(rows[row].output) == len(needed) + 2:
        chain[row] = needed
        needed = tuple(length / factor for length, factor in zip(needed, rows[row].factors, strict=True))
        row = rows[row].parent
    wrong = [i for i in sorted(chain) if chain[i] != rows[i].output[2:]]
    marked = tuple(replace(r, needed=chain[i]) if i in wrong else r for i, r in enumerate(rows))
    return replace(found, rows=marked, first_wrong=wrong[0] if wrong else last)


def _clash(inputs: list[_Read]) -> tuple[Shape, int, Shape] | None:
    """Return the size that the earliest input asks for, and row and size of the latest input that has another."""
    spatial = sorted((read for read in inputs if len(read.shape) > 2), key=lambda read: read.origin)
    for read in reversed(spatial):
        wanted = spatial[0].shape[2:]
        if read.shape[2:] != wanted and read.origin >= 0:
            return wanted, read.origin, read.shape[2:]
    return None


def _times(lengths: Iterable[object]) -> str:
    return " x ".join(map(str, lengths))


@dataclass(frozen=True)
class _Read:
    origin: int
    shape: Shape


class _Recorder(TorchFunctionMode):
    """Writes down the leaf modules, by hooks, and between them the functions that change a shape."""

    def __init__(self, model: nn.Module, example: Tensor) -> None:
        super().__init__()
        self.rows: list[Row] = []
        self.running = ""  # what runs, or what failed
        self.pending: list[_Read] = []  # and what it reads
        self._inside = 0
        # tensors are kept, since the number of a freed one is given to another
        self._origins: dict[int, tuple[Tensor, int]] = {id(example): (example, -1)}
        self._hooks = [hook for name, module in _leaves(model) for hook in self._attach(name, module)]

    def origin(self, tensor: Tensor) -> int:
        return self._origins.get(id(tensor), (tensor, -1))[1]

    def detach(self) -> None:
        for hook in self._hooks:
            hook.remove()

    def _attach(self, name: str, module: nn.Module) -> tuple[Any, Any]:
        label = name or type(module).__name__

        def before(_: nn.Module, args: tuple[Any, ...]) -> None:
            self._inside += 1
            self._start(label, args)

        def after(_: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            self._inside -= 1
            self._finish(label, module, args, output)

        return module.register_forward_pre_hook(before), module.register_forward_hook(after)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        inputs = (*args, *(kwargs or {}).values())
        if self._inside or func.__name__ == "__get__" or not _tensors(inputs):
            return func(*args, **(kwargs or {}))
        name = f"[{func.__name__.strip('_')}]"
        self._start(name, inputs)
        output = func(*args, **(kwargs or {}))
        self._finish(name, None, inputs, output)
        return output

    def _start(self, name: str, inputs: tuple[Any, ...]) -> None:
        self.running = name
        self.pending = [_Read(self.origin(tensor), tuple(tensor.shape)) for tensor in _tensors(inputs)]

    def _finish(self, name: str, module: nn.Module | None, inputs: tuple[Any, ...], output: Any) -> None:
        reads = [_Read(self.origin(tensor), tuple(tensor.shape)) for tensor in _tensors(inputs)]
        results = _tensors((output,))
        last = max(reads, key=lambda read: (read.origin, len(read.shape)), default=None)
        self.running, self.pending = "", []
        if last is None or not results:
            return
        origin = last.origin
        if module is not None or tuple(results[0].shape) != last.shape:
            self.rows.append(_row(name, module, last, tuple(results[0].shape)))
            origin = len(self.rows) - 1
        self._origins |= {id(result): (result, origin) for result in results}


def _row(name: str, module: nn.Module | None, read: _Read, output: Shape) -> Row:
    kind = type(module).__name__ if module is not None else "function"
    if len(read.shape) < 3 or len(read.shape) != len(output):
        return Row(name, kind, read.shape, output, "", (), read.origin)
    lengths = list(enumerate(zip(read.shape[2:], output[2:], strict=True)))
    texts = [formula(module or nn.Identity(), axis, before, after) for axis, (before, after) in lengths]
    factors = tuple(nominal_factor(module, axis, before, after) for axis, (before, after) in lengths)
    return Row(name, kind, read.shape, output, "; ".join(dict.fromkeys(filter(None, texts))), factors, read.origin)


def _leaves(model: nn.Module, name: str = "") -> Iterable[tuple[str, nn.Module]]:
    """Yield the modules that are shown as one row: those without children, and every upsampler."""
    shown = (Upsampler, *CONVOLUTIONS, *TRANSPOSED)  # a parametrization is a child too
    if isinstance(model, shown) or not any(True for _ in model.children()):
        yield name, model
        return
    for child, module in model.named_children():
        yield from _leaves(module, f"{name}.{child}" if name else child)


def _tensors(values: Iterable[Any]) -> list[Tensor]:
    found = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (tuple, list)):
            found += [item for item in value if isinstance(item, Tensor)]
    return found
