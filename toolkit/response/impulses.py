"""A linear module as a black box, and its answer to impulses: what `toolkit.response.linear` is built on."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from checkerscope.toolkit import checks

#: Input cells that a kernel may reach to each side before its support counts as global, per number of axes.
LIMIT = {1: 64, 2: 16, 3: 8}
#: First guess of the reach: large enough for any reflecting border that fits its kernel.
_START = 4
#: Responses below this fraction of the largest are rounding.
_ROUNDING = 1e-12
#: Values of a map that are computed at once: 64 MB.
_VALUES = 2**23


@dataclass(frozen=True)
class BlackBox:
    """A map of known factor: a float64 copy on the CPU, in evaluation mode."""

    name: str
    run: Callable[..., Tensor]
    in_channels: int
    scale: int
    spatial_dims: int

    def __call__(self, x: Tensor) -> Tensor:
        """Return T(x) - T(0), cut or filled with zeros at the far side to `scale` times the size of x."""
        with torch.no_grad():
            response = self.run(x) - self.run(torch.zeros_like(x[:1]))
        return self._fit(response, x)

    def offset(self, reach: int) -> Tensor:
        """Return the answer to zero at a cell that is `reach` cells or more from the border, (C_out, s, ..., s)."""
        reach = max(_START, reach)
        x = torch.zeros(1, self.in_channels, *(2 * reach + 1,) * self.spatial_dims, dtype=torch.float64)
        with torch.no_grad():
            y = self._fit(self.run(x), x)[0]
        for axis in range(1, y.dim()):
            y = y.narrow(axis, reach * self.scale, self.scale)
        return y

    def _fit(self, y: Tensor, x: Tensor) -> Tensor:
        sides = [self.scale * length for length in x.shape[2:]]
        missing = [want - got for want, got in zip(sides, y.shape[2:], strict=True)]
        return F.pad(y, [edge for gap in reversed(missing) for edge in (0, gap)]) if any(missing) else y


def black_box(
    module: nn.Module, scale: int | None = None, in_channels: int | None = None, spatial_dims: int | None = None
) -> BlackBox:
    """Return `module` as a map of known factor, channels and axes: given, or read from its attributes.

    Raises:
        ValueError: If the factor or the channels are neither given nor an attribute.
    """
    name = type(module).__name__
    found: dict[str, int] = {}
    for key, given in (("scale", scale), ("in_channels", in_channels), ("spatial_dims", spatial_dims)):
        value = getattr(module, key, None) if given is None else given
        if value is None and key != "spatial_dims":
            raise checks.mismatch(f"{name}: {key}", "an integer", "none", f"pass {key}=")
        found[key] = checks.integer(f"{name}: {key}", 2 if value is None else value)
    checks.choice(f"{name}: spatial_dims", found["spatial_dims"], LIMIT)
    # parameters may be float32: their values are exact in float64, only the arithmetic changes
    return BlackBox(name, copy.deepcopy(module).cpu().double().eval(), **found)


def linear_box(
    module: nn.Module, scale: int | None = None, in_channels: int | None = None, spatial_dims: int | None = None
) -> BlackBox:
    """Return `module` as a linear map: one that does not declare it is tried for additivity.

    Raises:
        ValueError: As `black_box`, or if the module is not linear.
    """
    name = type(module).__name__
    declared = getattr(module, "linear", None)  # of an Upsampler; a network may have a layer of that name
    if declared is False:
        raise checks.mismatch(name, "a linear upsampler", "a content-dependent one", "use phase_gains_at(..., x)")
    box = black_box(module, scale, in_channels, spatial_dims)
    if declared is not True and not _is_additive(box):
        raise checks.mismatch(name, "a linear module", "one that is not additive", "use phase_gains_at(..., x)")
    return box


def kernels(box: BlackBox) -> Tensor:
    """Return the phase kernels, (C_out, C_in, s, ..., s, n, ..., n), n odd, the impulse's cell in the middle."""
    reach, support = find_support(box)
    n, d = 2 * reach + 1, box.spatial_dims
    outputs = box(torch.zeros(1, box.in_channels, *(n,) * d, dtype=torch.float64)).shape[1]
    together = max(1, _VALUES // (max(outputs, box.in_channels) * (n * box.scale) ** d))
    parts = []
    for channels in torch.arange(box.in_channels).split(together):
        x = torch.zeros(len(channels), box.in_channels, n**d, dtype=torch.float64)
        x[torch.arange(len(channels)), channels, n**d // 2] = 1
        parts.append(_by_phase(box(x.unflatten(2, (n,) * d)), box.scale, reach - support))
    return torch.cat(parts, 1)


def _by_phase(y: Tensor, scale: int, margin: int) -> Tensor:
    """Return (C_out, C_in, s, ..., s, n, ..., n) from responses (C_in, C_out, *high), `margin` cells cut off."""
    d = y.dim() - 2
    for axis in range(2, y.dim()):
        y = y.narrow(axis, margin * scale, y.shape[axis] - 2 * margin * scale)
    for axis in reversed(range(2, 2 + d)):
        y = y.unflatten(axis, (-1, scale))  # i o n s n s ...
    return y.permute(1, 0, *(3 + 2 * a for a in range(d)), *(2 + 2 * a for a in range(d)))


def find_support(box: BlackBox) -> tuple[int, int]:
    """Return (cells to each side of a map that no kernel leaves, cells to each side that the kernels need).

    Both are the limit for a global kernel, which then has to be circular. A random mixture of the output channels for
    a random mixture of the input channels reaches as far as all pairs.

    Raises:
        ValueError: If the response does not move by `scale` pixels when its input moves by a cell.
    """
    limit = LIMIT[box.spatial_dims]
    reach = min(_START, limit)
    while True:
        here, moved = _pair(box, reach)
        cells = _largest_per_cell(here, box.scale)
        if reach == limit or not _touches_border(cells):
            break
        reach = min(2 * reach, limit)
    if (here - moved).abs().max() > 1e-9 * here.abs().max():
        fix = "drifting phases (align_corners=True), another scale, or a kernel that is too large have no phase gains"
        raise checks.mismatch(box.name, f"a response that moves by {box.scale} with its input", "another one", fix)
    return reach, reach - _empty_margin(cells)


def trim(kernel: Tensor, spatial_dims: int) -> Tensor:
    """Return phase kernels without their empty outer cells, as many at each side of every axis."""
    margin = _empty_margin(kernel.abs().flatten(0, 1 + spatial_dims).amax(0))
    for axis in range(2 + spatial_dims, kernel.dim()):
        kernel = kernel.narrow(axis, margin, kernel.shape[axis] - 2 * margin)
    return kernel.contiguous()


def taps(kernel: Tensor, scale: int) -> tuple[Tensor, tuple[int, ...]]:
    """Return h as (C_out, C_in, *k) with the padding per axis that puts h[0] on the first pixel of its cell."""
    d = kernel.dim() // 2 - 1
    order = [axis for a in range(d) for axis in (2 + d + a, 2 + a)]
    h = kernel.permute(0, 1, *order).reshape(*kernel.shape[:2], *(kernel.shape[-1] * scale,) * d)
    zero, padding = kernel.shape[-1] // 2 * scale, []
    for axis in range(2, 2 + d):
        used = h.abs().amax([a for a in range(2 + d) if a != axis]) > _ROUNDING * h.abs().max()
        span = [int(i) - zero for i in used.nonzero().flatten()] or [0]
        # the smallest padding that holds h to the left, and with output padding s - 1 or less to the right
        padding.append(max(0, -span[0], span[-1] - scale + 1))
        h = h.narrow(axis, zero - padding[-1], max(span[-1] + padding[-1], 2 * padding[-1]) + 1)
    return h, tuple(padding)


def _is_additive(box: BlackBox) -> bool:
    generator = torch.Generator().manual_seed(0)
    sides = (2 * _START + 1,) * box.spatial_dims
    x = torch.randn(2, box.in_channels, *sides, generator=generator, dtype=torch.float64)
    y = box(x)
    return bool((y.sum(0) - box(x.sum(0, keepdim=True))[0]).abs().max() <= 1e-9 * y.abs().max())


def _pair(box: BlackBox, cells: int) -> tuple[Tensor, Tensor]:
    """Return the responses to an impulse in the middle and to its neighbour on the diagonal, the latter moved back."""
    n, d = 2 * cells + 1, box.spatial_dims
    generator = torch.Generator().manual_seed(0)
    mixture = torch.randn(box.in_channels, generator=generator, dtype=torch.float64)
    x = torch.zeros(2, box.in_channels, n**d, dtype=torch.float64)
    x[0, :, n**d // 2] = mixture
    x[1, :, n**d // 2 + sum(n**axis for axis in range(d))] = mixture
    y = box(x.unflatten(2, (n,) * d))
    here, there = torch.tensordot(y, torch.randn(y.shape[1], generator=generator, dtype=torch.float64), ([1], [0]))
    return here, there.roll((-box.scale,) * d, tuple(range(d)))


def _largest_per_cell(response: Tensor, scale: int) -> Tensor:
    cells = response.abs()  # n s, n s, ...
    for axis in range(cells.dim()):
        cells = cells.unflatten(axis, (-1, scale)).amax(axis + 1)
    return cells


def _touches_border(cells: Tensor) -> bool:
    inner = F.pad(_crop(cells, 1), (1, 1) * cells.dim())
    return bool((cells - inner).max() > _ROUNDING * cells.max())


def _empty_margin(cells: Tensor) -> int:
    margin = 0
    while 2 * margin + 1 < cells.shape[0] and not _touches_border(_crop(cells, margin)):
        margin += 1
    return margin


def _crop(cells: Tensor, margin: int) -> Tensor:
    for axis in range(cells.dim()):
        cells = cells.narrow(axis, margin, cells.shape[axis] - 2 * margin)
    return cells
