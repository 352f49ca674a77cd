"""The input sizes near a given one that a network takes: found by running it on shapes alone, without values."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

Shape = tuple[int, ...]
#: Largest distance from the given size that is tried per axis: eight levels of pooling repeat every 256 pixels.
REACH = 128
#: Seconds after which the search ends without an answer.
PATIENCE = 20.0


@dataclass(frozen=True)
class Fit:
    """Sizes that fit.

    Attributes:
        nearest: Spatial size with the least change on every axis, the larger of two equally near.
        padded: The smallest that is at least as large as the given one on every axis; None if none is in reach.
        pads: What `torch.nn.functional.pad` takes to get from the given size to `padded`.
    """

    nearest: Shape
    padded: Shape | None
    pads: Shape = ()

    def __str__(self) -> str:
        text = f"nearest input size that fits: {' x '.join(map(str, self.nearest))}"
        if self.padded is None:
            return text
        size = "" if self.padded == self.nearest else f" to {' x '.join(map(str, self.padded))}"
        return f"{text}; or pad the input{size}: F.pad(x, {self.pads}), then crop the result"


def fit(model: nn.Module, example: Tensor, target: Shape | None = None) -> Fit | None:
    """Return the sizes nearest to the example's that the model takes; None if none is found, or its own size fits.

    The model runs on tensors without values, so that a try costs no arithmetic; what is found is run once in full.

    Args:
        model: Any module that takes one tensor.
        example: Its input, (N, C, *spatial).
        target: Spatial size that the result should have; where it is the example's own, the result should always be
            as large as the input.

    >>> fit(nn.Sequential(nn.MaxPool2d(4), nn.Upsample(scale_factor=4)), torch.zeros(1, 1, 14, 16), (14, 16)).nearest
    (16, 16)
    """
    given = tuple(example.shape[2:])
    tries = _Tries(model, example, target)
    try:
        nearest = _search(given, tries, _around)
        padded = nearest if nearest is None or _is_larger(nearest, given) else _search(given, tries, _from)
    except TimeoutError:
        return None
    if nearest is None or nearest == given or not tries.in_full(nearest):
        return None
    if padded is None or not tries.in_full(padded):
        return Fit(nearest, None)
    pads = [side for a, b in zip(reversed(given), reversed(padded), strict=True) for side in (0, b - a)]
    return Fit(nearest, padded, tuple(pads))


def _is_larger(size: Shape, given: Shape) -> bool:
    return all(a >= b for a, b in zip(size, given, strict=True))


def _search(given: Shape, fits: Callable[[Shape], bool], order: Callable[[int], Iterator[int]]) -> Shape | None:
    """Return the first size that fits: on all axes alike first, then as near as can be on each axis by itself."""
    equal = ((side,) * len(given) for side in order(max(given)))
    found = next((size for size in equal if fits(size)), None)
    if found is None:
        return None
    for axis, side in enumerate(given):
        options = ((*found[:axis], length, *found[axis + 1 :]) for length in order(side))
        found = next((size for size in options if fits(size)), found)
    return found


def _around(side: int) -> Iterator[int]:
    yield side
    for distance in range(1, REACH + 1):
        yield side + distance
        if side > distance:
            yield side - distance


def _from(side: int) -> Iterator[int]:
    yield from range(side, side + REACH + 1)


@contextmanager
def _unlogged() -> Iterator[None]:
    """Keep torch from logging every size that does not fit as an error."""
    log = logging.getLogger("torch._subclasses.fake_tensor")
    was = log.disabled
    log.disabled = True
    try:
        yield
    finally:
        log.disabled = was


class _Tries:
    """Tells whether the model takes a size, and remembers it."""

    def __init__(self, model: nn.Module, example: Tensor, target: Shape | None) -> None:
        self._model, self._example = model, example
        self._target, self._follows = target, target == tuple(example.shape[2:])
        self._mode = FakeTensorMode(allow_non_fake_inputs=True)
        self._known: dict[Shape, bool] = {}
        self._end = time.monotonic() + PATIENCE

    def __call__(self, size: Shape) -> bool:
        if size not in self._known:
            if time.monotonic() > self._end:
                raise TimeoutError
            with _unlogged(), self._mode:
                self._known[size] = self.in_full(size)
        return self._known[size]

    def in_full(self, size: Shape) -> bool:
        """Return whether the model takes zeros of this size."""
        x = torch.zeros(*self._example.shape[:2], *size, dtype=self._example.dtype, device=self._example.device)
        was_training = self._model.training
        try:
            with torch.no_grad():
                output = self._model.eval()(x)
        except Exception:  # whatever the network raises, it does not take that size
            return False
        finally:
            self._model.train(was_training)
        wanted = size if self._follows else self._target
        return wanted is None or (isinstance(output, Tensor) and tuple(output.shape[2:]) == tuple(wanted))
