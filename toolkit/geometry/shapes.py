"""Shapes through a network, layer by layer, with the size formula filled in and the first wrong size marked."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from checkerscope.toolkit import checks
from checkerscope.toolkit.contracts.upsampler import Upsampler
from checkerscope.toolkit.geometry.fitting import Fit, fit
from checkerscope.toolkit.geometry.modules import CONVOLUTIONS, TRANSPOSED, formula, nominal_factor

Shape = tuple[int, ...]
CROP = "crop or pad"
#: Functions that crop or pad, and modules that pad.
CROPPING = ("pad", "getitem", "narrow", "slice", "crop")
PADDINGS = frozenset(name for name in vars(nn.modules.padding) if name.rstrip("123d").endswith("Pad"))


@dataclass(frozen=True)
class Row:
    """One layer, or one function that changes the size.

    Attributes:
        name: Dotted name of the module, or the function's name in brackets.
        kind: Class of the module, "crop or pad" for a function that does that by given numbers, else "function".
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

    @property
    def is_crop(self) -> bool:
        """Whether it crops or pads by numbers of its own, which nothing else decides."""
        return self.kind == CROP or self.kind in PADDINGS


@dataclass(frozen=True)
class Trace:
    """What came of a forward pass.

    Attributes:
        rows: In the order in which they ran.
        output: Shape of the result; None if the network failed.
        problem: What did not fit, in one line; empty if everything did.
        first_wrong: Index of the first row whose size differs from what was needed; -1 if none.
        fit: Input sizes near the given one that fit every level; None if there is no problem, or none was found.
    """

    rows: tuple[Row, ...]
    output: Shape | None
    problem: str
    first_wrong: int
    fit: Fit | None = None


def trace(model: nn.Module, example: Tensor, *, target: Shape | None = None) -> Trace:
    """Return the shapes of every layer when the model reads `example`, without gradients, in eval mode.

    Sizes are needed by a `target`, and by operations on two tensors, such as a skip connection. What a layer should
    have returned is found by going back from there and undoing each layer's nominal factor (stride, scale), as far as
    the sizes are wrong: a pooling that rounds down is marked where it happens and not where the sizes meet. A crop or
    padding of the wrong size is to blame itself, since nothing but its own numbers says how much it takes. The nearest
    input size that fits every level is searched for, since what fits one level may not fit the next.

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
    found = _followed(model, example, target)
    return replace(found, fit=fit(model, example, target)) if found.problem else found


def _followed(model: nn.Module, example: Tensor, target: Shape | None) -> Trace:
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
        return _failed(recorder, failure)
    shape = tuple(output.shape) if isinstance(output, Tensor) else None
    done = Trace(tuple(rows), shape, "", -1)
    if target is None or shape is None or shape[2:] == tuple(target):
        return done
    if len(target) != len(shape) - 2:
        raise checks.mismatch("target", f"{len(shape) - 2} lengths", tuple(target))
    problem = f"the result has size {_times(shape[2:])}, the target {_times(target)}"
    last = recorder.origin(output)
    return _marked(replace(done, problem=problem), _wrong(rows, last, tuple(target)), last)


def _failed(recorder: _Recorder, failure: Exception) -> Trace:
    rows, running = recorder.rows, recorder.running
    clash = _clash(recorder.pending)
    if clash is None:
        message = (str(failure).splitlines() or [type(failure).__name__])[0]
        return Trace(tuple(rows), None, f"{running or 'the network'}: {message}", -1)
    first, last = clash
    problem = f"{running}: sizes {_times(first.shape[2:])} and {_times(last.shape[2:])} meet"
    found = Trace(tuple(rows), None, problem, last.origin)
    # either of the two may be the wrong one: a crop is, else the one that was made later
    for read, other in ((last, first), (first, last)):
        wrong = _wrong(rows, read.origin, other.shape[2:])
        if wrong and rows[min(wrong)].is_crop:
            return _marked(found, wrong, read.origin)
    return _marked(found, _wrong(rows, last.origin, first.shape[2:], shared=_above(rows, first.origin)), last.origin)


def _wrong(
    rows: list[Row], last: int, wanted: Shape, *, shared: Container[int] = ()
) -> dict[int, tuple[Fraction, ...]]:
    """Return the sizes that were needed and not given, from row `last` back towards the input."""
    needed = tuple(map(Fraction, wanted))
    wrong: dict[int, tuple[Fraction, ...]] = {}
    row = last
    # what is as it should be was made of what is as it should be: a pooling may have rounded, and done no harm
    while row >= 0 and row not in shared and len(rows[row].output) == len(needed) + 2:
        if rows[row].output[2:] == needed:
            break
        wrong[row] = needed
        if rows[row].is_crop:
            break
        needed = tuple(length / factor for length, factor in zip(needed, rows[row].factors, strict=True))
        row = rows[row].parent
    return wrong


def _above(rows: list[Row], row: int) -> set[int]:
    """Return a row and the rows that it was made of."""
    found = set()
    while row >= 0:
        found.add(row)
        row = rows[row].parent
    return found


def _marked(found: Trace, wrong: dict[int, tuple[Fraction, ...]], last: int) -> Trace:
    rows = tuple(replace(row, needed=wrong[i]) if i in wrong else row for i, row in enumerate(found.rows))
    return replace(found, rows=rows, first_wrong=min(wrong, default=last))


def _clash(inputs: list[_Read]) -> tuple[_Read, _Read] | None:
    """Return the earliest input with a size, and the latest that has another."""
    spatial = sorted((read for read in inputs if len(read.shape) > 2), key=lambda read: read.origin)
    for read in reversed(spatial):
        if read.shape[2:] != spatial[0].shape[2:] and read.origin >= 0:
            return spatial[0], read
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
            kind = type(module).__name__ if module is not None else _kind_of(name, inputs)
            self.rows.append(_row(name, kind, module, last, tuple(results[0].shape)))
            origin = len(self.rows) - 1
        self._origins |= {id(result): (result, origin) for result in results}


def _row(name: str, kind: str, module: nn.Module | None, read: _Read, output: Shape) -> Row:
    if len(read.shape) < 3 or len(read.shape) != len(output):
        return Row(name, kind, read.shape, output, "", (), read.origin)
    lengths = list(enumerate(zip(read.shape[2:], output[2:], strict=True)))
    texts = [formula(module or nn.Identity(), axis, before, after) for axis, (before, after) in lengths]
    factors = tuple(nominal_factor(module, axis, before, after) for axis, (before, after) in lengths)
    row = Row(name, kind, read.shape, output, "; ".join(dict.fromkeys(filter(None, texts))), factors, read.origin)
    return replace(row, factors=(Fraction(1),) * len(factors)) if row.is_crop else row


def _kind_of(name: str, inputs: tuple[Any, ...]) -> str:
    """Return what a function is; a slice with steps samples the map and does not crop it."""
    index = inputs[1] if name == "[getitem]" and len(inputs) > 1 else ()
    steps = [one.step for one in (index if isinstance(index, tuple) else (index,)) if isinstance(one, slice)]
    crops = name.strip("[]") in CROPPING and all(step in (None, 1) for step in steps)
    return CROP if crops else "function"


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
