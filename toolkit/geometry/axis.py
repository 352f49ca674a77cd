"""Sizes: what a transposed convolution makes of a length, and which configurations make a given one.

One axis at a time, since the axes do not interact. How often an output is reached is counted in `overlap`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from math import gcd, inf

from checkerscope.toolkit import checks

#: Largest kernel that `solve` tries where none is given: beyond it every request has ever more solutions.
MOST_TAPS = 9


@dataclass(frozen=True)
class Axis:
    """One axis of a transposed convolution, with the parameters of `torch.nn.ConvTranspose2d`.

    Attributes:
        kernel_size: Taps, k.
        stride: Distance of the input values in the output, s.
        padding: Output values cut off at each end, p.
        output_padding: Output values kept at the far end after that, op; below max(s, d).
        dilation: Distance of the taps, d.
    """

    kernel_size: int
    stride: int = 1
    padding: int = 0
    output_padding: int = 0
    dilation: int = 1

    def __post_init__(self) -> None:
        checks.integer("kernel_size", self.kernel_size)
        checks.integer("stride", self.stride)
        checks.integer("padding", self.padding, minimum=0)
        checks.integer("dilation", self.dilation)
        checks.integer("output_padding", self.output_padding, minimum=0)
        if self.output_padding >= max(self.stride, self.dilation):
            raise checks.mismatch(
                "output_padding", f"less than stride or dilation ({max(self.stride, self.dilation)})",
                self.output_padding, "more would be values that no tap reaches",
            )  # fmt: skip

    @property
    def extent(self) -> int:
        """Return the length that the taps span, d (k - 1) + 1."""
        return self.dilation * (self.kernel_size - 1) + 1

    @property
    def is_exact(self) -> bool:
        """Whether every length n becomes s n: 2 p - op = d (k - 1) + 1 - s."""
        return 2 * self.padding - self.output_padding == self.extent - self.stride

    @property
    def bare_outputs(self) -> int:
        """Return how many outputs at the far end get the bias alone: output padding that lies beyond the last tap."""
        return max(0, self.output_padding - self.padding)

    @property
    def taps_per_phase(self) -> tuple[int, ...]:
        """Return how many taps reach an interior output at each position modulo s, in kernel order.

        >>> Axis(3, 2).taps_per_phase, Axis(4, 2).taps_per_phase
        ((2, 1), (2, 2))
        """
        reached = [self.dilation * tap % self.stride for tap in range(self.kernel_size)]
        return tuple(reached.count(phase) for phase in range(self.stride))

    def output_size(self, length: int) -> int:
        """Return (n - 1) s - 2 p + d (k - 1) + op + 1.

        Raises:
            ValueError: If `length` is no positive integer, or the padding leaves nothing.

        >>> Axis(4, 2, 1).output_size(16), Axis(3, 2, 1).output_size(4)
        (32, 7)
        """
        n = checks.integer("input size", length)
        size = (n - 1) * self.stride - 2 * self.padding + self.extent + self.output_padding
        if size < 1:
            most = (size + 2 * self.padding - 1) // 2
            raise checks.mismatch("output size", "at least 1", size, f"use a padding of at most {most}")
        return size

    def formula(self, length: int) -> str:
        """Return the size with its numbers filled in.

        >>> Axis(4, 2, 1).formula(16)
        '(16 - 1) * 2 - 2 * 1 + 1 * (4 - 1) + 0 + 1 = 32'
        """
        return (
            f"({length} - 1) * {self.stride} - 2 * {self.padding} + {self.dilation} * ({self.kernel_size} - 1)"
            f" + {self.output_padding} + 1 = {self.output_size(length)}"
        )

    def overlap_ratio(self, spatial_dims: int = 2) -> float:
        """Return the largest over the smallest number of taps that reach an interior output; inf where some get none.

        >>> Axis(3, 2).overlap_ratio(), Axis(4, 2).overlap_ratio(), Axis(2, 3).overlap_ratio()
        (4.0, 1.0, inf)
        """
        most, least = max(self.taps_per_phase), min(self.taps_per_phase)
        return (most / least) ** spatial_dims if least else inf

    def cost(self, spatial_dims: int = 2) -> float:
        """Return the multiplications per output value and pair of channels, (k / s) ** dims."""
        return float(Fraction(self.kernel_size, self.stride) ** spatial_dims)

    def why(self) -> str:
        """Return one line on the overlap: even or not, and the reason.

        >>> Axis(3, 2).why()
        'uneven: 3 is no multiple of 2, so outputs get 2 or 1 taps per axis'
        """
        taps, s = self.taps_per_phase, self.stride
        if s == 1:
            return "even: stride 1 has a single phase"
        if not min(taps):
            cause = f"dilation {self.dilation} and stride {s} share a factor" if gcd(self.dilation, s) > 1 else ""
            cause = cause or f"the kernel ({self.kernel_size}) is shorter than the stride ({s})"
            return f"holes: {cause}, so {taps.count(0)} of {s} outputs per axis get no tap"
        if min(taps) == max(taps):
            return f"even: {self.kernel_size} is a multiple of {s}, so every output gets {taps[0]} per axis"
        return (
            f"uneven: {self.kernel_size} is no multiple of {s}, so outputs get {max(taps)} or {min(taps)} taps per axis"
        )


def convolution_size(
    length: int, kernel_size: int, *, stride: int = 1, padding: int = 0, dilation: int = 1, ceil: bool = False
) -> int:
    """Return the length after a convolution or pooling: floor((n + 2 p - d (k - 1) - 1) / s) + 1.

    Args:
        length: Input length, n.
        kernel_size: Taps, k.
        stride: Distance of the windows, s.
        padding: Values added at each end, p.
        dilation: Distance of the taps, d.
        ceil: Whether a last incomplete window counts, as in `ceil_mode` of torch's pooling, unless it starts in the
            far padding.

    Raises:
        ValueError: If the padded input is shorter than the kernel.

    >>> convolution_size(28, 3, stride=2, padding=1), convolution_size(15, 2, stride=2)
    (14, 7)
    """
    room = checks.integer("input size", length) + 2 * padding - dilation * (kernel_size - 1) - 1
    if room < 0:
        got = f"{length} + 2 * {padding} for a kernel of extent {dilation * (kernel_size - 1) + 1}"
        raise checks.mismatch("convolution", "an input that is at least as long as the kernel", got, "pad it")
    size = -(-room // stride) + 1 if ceil else room // stride + 1
    if ceil and (size - 1) * stride >= length + padding:
        size -= 1
    return size


def solve(
    input_size: int,
    output_size: int | None = None,
    *,
    scale: int | None = None,
    kernel_size: int | None = None,
    stride: int | None = None,
    dilation: int = 1,
) -> list[Axis]:
    """Return every configuration that maps a length to another, the most even and cheapest first.

    Ranked by overlap ratio, outputs without a tap, distance of the size from s n (0 if every length is enlarged
    exactly s times), output padding (a border on one side), cost, padding. The padding goes up to d (k - 1), beyond
    which inputs would be thrown away.

    Args:
        input_size: Length before.
        output_size: Length after; or give `scale`.
        scale: Exact factor for every length: only configurations with `is_exact` and this stride.
        kernel_size: Only this one; 1 to `MOST_TAPS` (and at least the stride) otherwise.
        stride: Only this one; any otherwise.
        dilation: Distance of the taps.

    Raises:
        ValueError: If the request contradicts itself or nothing fulfils it; the message names the nearest size.

    >>> solve(16, 32)[0]
    Axis(kernel_size=2, stride=2, padding=0, output_padding=0, dilation=1)
    >>> [(a.kernel_size, a.padding, a.output_padding) for a in solve(8, scale=2, kernel_size=3)]
    [(3, 1, 1)]
    """
    n = checks.integer("input size", input_size)
    goal = _goal(n, output_size, scale)
    if scale is not None and stride not in (None, scale):
        raise checks.mismatch("stride", f"the scale, {scale}, which is the only exact one", stride, "leave it out")
    kernels = list(_kernels(n, goal, kernel_size=kernel_size, stride=scale or stride, dilation=dilation))
    found = [axis for kernel in kernels for axis in _paddings(kernel, n, goal) if scale is None or axis.is_exact]
    if not found:
        raise _impossible(kernels, n, goal)
    return sorted(found, key=lambda axis: _rank(axis, n, goal))


def _rank(axis: Axis, n: int, goal: int) -> tuple[float, ...]:
    misfit = abs(axis.stride * n - goal)  # what padding has to make up for
    return (axis.overlap_ratio(), axis.bare_outputs, misfit, axis.output_padding, axis.cost(), axis.padding)


def _goal(n: int, output_size: int | None, scale: int | None) -> int:
    if scale is not None and output_size is None:
        return n * checks.integer("scale", scale, fix="a stride is whole; reach other factors by interpolation")
    if output_size is None or scale is not None:
        got = "neither" if scale is None else "both"
        raise checks.mismatch("request", "an output size or a scale", got, "give one of them")
    if checks.integer("output size", output_size) < n:
        raise checks.mismatch("output size", f"at least the input size, {n}", output_size, "shrink by a convolution")
    return output_size


def _kernels(n: int, goal: int, *, kernel_size: int | None, stride: int | None, dilation: int) -> Iterator[Axis]:
    # strides far from the ratio of the sizes only work by cutting off most of the output
    near = goal // n
    for s in range(max(1, near - 2), near + 3) if stride is None else (stride,):
        checks.integer("stride", s)
        sizes = {*range(1, MOST_TAPS + 1), s, 2 * s} if kernel_size is None else {kernel_size}
        yield from (Axis(k, s, dilation=dilation) for k in sorted(sizes))


def _paddings(kernel: Axis, n: int, goal: int) -> Iterator[Axis]:
    excess = kernel.output_size(n) - goal  # 2 p - op
    most = max(kernel.stride, kernel.dilation)
    for padding in range(max(0, -(-excess // 2)), min(kernel.extent - 1, (excess + most - 1) // 2) + 1):
        yield replace(kernel, padding=padding, output_padding=2 * padding - excess)


def _impossible(kernels: list[Axis], n: int, goal: int) -> ValueError:
    reached = sorted(
        {size for kernel in kernels for size in _nearest(kernel, n, goal)}, key=lambda m: (abs(m - goal), m)
    )
    taps = sorted({kernel.kernel_size for kernel in kernels})
    strides = sorted({kernel.stride for kernel in kernels})
    what = f"kernel {_range(taps)} and stride {_range(strides)}"
    near = " or ".join(map(str, sorted(reached[:2]))) or "none"
    return checks.mismatch(
        "solve", f"an output size that {what} can make of {n}", goal, f"nearest: {near}; try another kernel or stride"
    )


def _nearest(kernel: Axis, n: int, goal: int) -> tuple[int, ...]:
    """Return the sizes next to an unreachable one that a kernel reaches with some padding."""
    most = max(kernel.stride, kernel.dilation)
    high = kernel.output_size(n) + most - 1
    low = max(1, kernel.output_size(n) - 2 * (kernel.extent - 1))
    if low < goal < high:
        return goal - 1, goal + 1  # without output padding only every second size is reached
    return (min(goal, high),) if goal > low else (low,)


def _range(numbers: list[int]) -> str:
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
