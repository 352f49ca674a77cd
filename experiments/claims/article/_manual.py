"""The article's hand-written transposed convolution beside torch's and the project's."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from checkerscope.experiments.claims.article._listings import run
from checkerscope.experiments.verdicts.contract import Number, Verdict, exact, judge
from checkerscope.toolkit.geometry.reference import transposed_convolution

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Comparison:
    """What the two implementations made of one case.

    Attributes:
        expected: Shape of torch's result.
        shape: Shape of the article's result; None if it raised.
        error: Largest deviation relative to torch's largest value; None if it raised or has another shape.
        raised: What it raised, in one line; empty if nothing.
        corrected_error: Largest relative deviation of `toolkit.geometry.reference.transposed_convolution`.
    """

    expected: Shape
    shape: Shape | None
    error: float | None
    raised: str
    corrected_error: float

    @property
    def is_right(self) -> bool:
        """Whether the result is torch's up to float32 rounding."""
        return self.error is not None and self.error < 1e-5

    def numbers(self) -> dict[str, Number]:
        """Return what a verdict states."""
        found = {"raises": exact(float(bool(self.raised))), "error_corrected": exact(self.corrected_error, "relative")}
        if self.error is not None:
            found["error_as_printed"] = exact(self.error, "relative")
        if self.shape is not None:
            found |= {"height": exact(self.shape[2], "pixels"), "height_expected": exact(self.expected[2], "pixels")}
            found |= {"width": exact(self.shape[3], "pixels"), "width_expected": exact(self.expected[3], "pixels")}
        return found


def compare(
    weight_shape: Shape, *, stride: int = 2, padding: int = 1, dtype: torch.dtype = torch.float32, seed: int = 0
) -> Comparison:
    """Return how the listing of section 2.2 compares with torch on one random input of 5 x 6 pixels."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(2, weight_shape[0], 5, 6, generator=g).to(dtype)
    w = torch.randn(weight_shape, generator=g).to(dtype)
    expected = F.conv_transpose2d(x, w, stride=stride, padding=padding)
    scale = float(expected.abs().max())
    mended = float((transposed_convolution(x, w, stride=stride, padding=padding) - expected).abs().max()) / scale
    try:
        got = run("2.2")["manual_transposed_conv"](x, w, stride, padding)
    except (RuntimeError, TypeError) as error:
        line = f"{type(error).__name__}: {error}".splitlines()[0]
        return Comparison(tuple(expected.shape), None, None, line, mended)
    off = float((got - expected).abs().max()) / scale if got.shape == expected.shape else None
    return Comparison(tuple(expected.shape), tuple(got.shape), off, "", mended)


def verdict(case: Comparison, why: str, corrected: str) -> Verdict:
    """Return `holds` where the printed function is right, else `fails`."""
    what = f" It raises {case.raised}." if case.raised else ""
    key = "error_as_printed" if case.error is not None else "raises" if case.raised else "width"
    return Verdict(judge(case.is_right), case.numbers(), why + what, "" if case.is_right else corrected, key)
