"""The exact periodic response of an upsampler, found by impulses, whatever is inside.

Conventions. An upsampler of factor s answers an impulse at input cell c with h[j] = y[s c + j]; phase p of it is
r_p[m] = h[s m + p]; the *phase gain* is G_p = sum_m r_p[m], the level that phase p gives to a constant input of one.
Bias is no part of the response. Everything is computed in float64 on the CPU, on a copy in evaluation mode.

The functions for linear upsamplers take any `torch.nn.Module`: one that does not say its `scale`, `in_channels` or
`spatial_dims` is given them. Content-dependent upsamplers have a response at a given input only: `jacobian_vector`,
`vector_jacobian` and `phase_gains_at`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toolkit import checks
from toolkit.upsampler import Context

#: Input cells that a kernel may reach to each side before its support counts as global, per number of axes.
_LIMIT = {1: 64, 2: 16, 3: 8}
#: First guess of the reach: large enough for any reflecting border that fits its kernel.
_START = 4
#: Responses below this fraction of the largest are rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class _BlackBox:
    """A linear map with known factor: a double-precision copy without its response to zero."""

    name: str
    run: Callable[[Tensor], Tensor]
    in_channels: int
    scale: int
    spatial_dims: int

    def __call__(self, x: Tensor) -> Tensor:
        """Return T(x) - T(0), cut or filled with zeros at the far side to the contract's size."""
        with torch.no_grad():
            response = self.run(x) - self.run(torch.zeros_like(x[:1]))
        sides = [self.scale * length for length in x.shape[2:]]
        missing = [want - got for want, got in zip(sides, response.shape[2:], strict=True)]
        return F.pad(response, [edge for gap in reversed(missing) for edge in (0, gap)]) if any(missing) else response


def phase_gains(
    upsampler: nn.Module,
    *,
    scale: int | None = None,
    in_channels: int | None = None,
    spatial_dims: int | None = None,
    context: Context | None = None,
) -> Tensor:
    """Return the level of every output phase on a constant input of one, float64 (C_out, C_in, s, ..., s).

    Equal gains are the whole condition for a clean flat region. With a `context` (max-unpooling) the map is fixed
    but not periodic: the gain is then the mean over the map, and over the batch, of the answer to a constant.

    Args:
        upsampler: Any linear upsampler; padding does not matter.
        scale: Factor per axis where the module has no attribute `scale`.
        in_channels: Channels where the module has no attribute `in_channels`.
        spatial_dims: Spatial axes where the module has no attribute `spatial_dims`; 2 if neither says so.
        context: What the encoder saw, of the size that the map is fixed for.

    Raises:
        ValueError: If the module is not linear, not periodic with the scale, or does not say what it needs.

    Source: condition of Sugawara, Shiota and Kiya 2018 (equal steady states of the polyphase filters).

    >>> phase_gains(nn.ConvTranspose1d(1, 1, 3, 2, bias=False), scale=2, spatial_dims=1).shape
    torch.Size([1, 1, 2])
    """
    if context is not None:
        return _gains_in_context(upsampler, context)
    box = _black_box(upsampler, scale, in_channels, spatial_dims)
    return _kernels(box).flatten(2 + box.spatial_dims).sum(-1)


def phase_kernels(
    upsampler: nn.Module, *, scale: int | None = None, in_channels: int | None = None, spatial_dims: int | None = None
) -> Tensor:
    """Return r_p[m], float64 (C_out, C_in, s, ..., s, 2 R + 1, ..., 2 R + 1), m = -R ... R.

    R is the smallest reach that holds the kernel. Where the support is global (a Fourier-transform upsampler) the
    kernel is that of a periodic map of 2 R + 1 cells, R = 64, 16 or 8 for one, two or three axes.

    Raises:
        ValueError: As `phase_gains`.

    >>> phase_kernels(nn.Upsample(scale_factor=2), scale=2, in_channels=1).flatten()
    tensor([1., 1., 1., 1.], dtype=torch.float64)
    """
    box = _black_box(upsampler, scale, in_channels, spatial_dims)
    return _trim(_kernels(box), box.spatial_dims)


def _black_box(
    module: nn.Module, scale: int | None, in_channels: int | None, spatial_dims: int | None, *, linear: bool = True
) -> _BlackBox:
    name = type(module).__name__
    if linear and getattr(module, "linear", True) is False:
        raise checks.mismatch(name, "a linear upsampler", "a content-dependent one", "use phase_gains_at(..., x)")
    given = {"scale": scale, "in_channels": in_channels, "spatial_dims": spatial_dims}
    found: dict[str, int] = {}
    for key, value in given.items():
        value = getattr(module, key, None) if value is None else value
        if value is None and key != "spatial_dims":
            raise checks.mismatch(f"{name}: {key}", "an integer", "none", f"pass {key}=")
        found[key] = checks.integer(f"{name}: {key}", 2 if value is None else value)
    checks.choice(f"{name}: spatial_dims", found["spatial_dims"], _LIMIT)
    # parameters may be float32: their values are exact in float64, only the arithmetic changes
    box = _BlackBox(name, copy.deepcopy(module).cpu().double().eval(), **found)
    if linear and not hasattr(module, "linear"):
        _check_additive(box)
    return box


def _check_additive(box: _BlackBox) -> None:
    generator = torch.Generator().manual_seed(0)
    sides = (2 * _START + 1,) * box.spatial_dims
    x = torch.randn(2, box.in_channels, *sides, generator=generator, dtype=torch.float64)
    y, total = box(x), box(x.sum(0, keepdim=True))
    if (y.sum(0, keepdim=True) - total).abs().max() > 1e-9 * (1e-300 + y.abs().max()):
        raise checks.mismatch(box.name, "a linear module", "one that is not additive", "use phase_gains_at(..., x)")


def _kernels(box: _BlackBox) -> Tensor:
    reach = _reach(box)
    n, d, s = 2 * reach + 1, box.spatial_dims, box.scale
    x = torch.zeros(box.in_channels, box.in_channels, n**d, dtype=torch.float64)
    x[:, :, n**d // 2] = torch.eye(box.in_channels, dtype=torch.float64)
    y = box(x.reshape(box.in_channels, box.in_channels, *(n,) * d))
    y = y.transpose(0, 1).reshape(y.shape[1], box.in_channels, *(n, s) * d)  # o i (n s) (n s) ...
    axes = range(d)
    return y.permute(0, 1, *(3 + 2 * a for a in axes), *(2 + 2 * a for a in axes))  # o i s.. n..


def _reach(box: _BlackBox) -> int:
    """Return a number of cells that holds the kernel with a margin, or the limit for a global, circular one.

    One random mixture of the input channels reaches as far as all of them together.
    """
    reach = min(_START, _LIMIT[box.spatial_dims])
    while True:
        here, moved = _pair(box, reach)
        cells = here.abs().unflatten(-1, (-1, box.scale)).amax(-1).amax(0)
        for axis in range(box.spatial_dims - 1):
            cells = cells.unflatten(axis, (-1, box.scale)).amax(axis + 1)
        inside = not _touches_border(cells)
        if inside or reach == _LIMIT[box.spatial_dims]:
            break
        reach = min(2 * reach, _LIMIT[box.spatial_dims])
    if (here - moved).abs().max() > 1e-9 * here.abs().max():
        fix = "drifting phases (align_corners=True), another scale, or a kernel that is too large have no phase gains"
        raise checks.mismatch(box.name, f"a response that moves by {box.scale} with its input", "another one", fix)
    return reach


def _pair(box: _BlackBox, reach: int) -> tuple[Tensor, Tensor]:
    """Return the responses to an impulse in the middle and to its neighbour on the diagonal, the latter moved back."""
    n, d = 2 * reach + 1, box.spatial_dims
    mixture = torch.randn(box.in_channels, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = torch.zeros(2, box.in_channels, *(n,) * d, dtype=torch.float64)
    flat, step = x.flatten(2), sum(n**a for a in range(d))  # to the next cell along every axis at once
    flat[0, :, n**d // 2] = mixture
    flat[1, :, n**d // 2 + step] = mixture
    here, there = box(x)
    return here, there.roll((-box.scale,) * d, tuple(range(1, d + 1)))


def _touches_border(cells: Tensor) -> bool:
    inner = F.pad(_crop(cells, 1), (1, 1) * cells.dim())
    return bool((cells - inner).max() > _ROUNDING * cells.max())


def _crop(cells: Tensor, margin: int) -> Tensor:
    for axis in range(cells.dim()):
        cells = cells.narrow(axis, margin, cells.shape[axis] - 2 * margin)
    return cells


def _trim(kernels: Tensor, spatial_dims: int) -> Tensor:
    cells = kernels.abs().flatten(0, 1 + spatial_dims).amax(0)
    margin = 0
    while 2 * margin + 1 < cells.shape[0] and not _touches_border(_crop(cells, margin)):
        margin += 1
    for axis in range(2 + spatial_dims, kernels.dim()):
        kernels = kernels.narrow(axis, margin, kernels.shape[axis] - 2 * margin)
    return kernels.contiguous()


def _gains_in_context(upsampler: nn.Module, context: Context) -> Tensor:
    """Return the mean over the map of the answer to a constant input: the map has no period of its own."""
    box = _black_box(upsampler, None, None, None)
    sample = context.features if context.indices is None else context.indices
    if sample is None:
        raise checks.mismatch(f"{box.name}: context", "indices or features", "neither", "pass Context(indices=...)")
    factor = box.scale if context.indices is None else 1
    low = tuple(length // factor for length in sample.shape[2:])
    n, c = sample.shape[0], box.in_channels
    features = None if context.features is None else context.features.cpu().double().repeat_interleave(c, 0)
    indices = None if context.indices is None else context.indices.cpu().repeat_interleave(c, 0)
    x = torch.eye(c, dtype=torch.float64).repeat(n, 1).reshape(n * c, c, *(1,) * box.spatial_dims)
    fixed = Context(indices, features)
    with torch.no_grad():
        ones = x.expand(n * c, c, *low)
        y = box.run(ones, fixed) - box.run(torch.zeros_like(ones), fixed)  # type: ignore[call-arg]
    return _mean_per_phase(y.unflatten(0, (n, c)).mean(0), box.scale).transpose(0, 1)


def _mean_per_phase(y: Tensor, scale: int) -> Tensor:
    """Return (N, C, s, ..., s): means over all cells, for each phase."""
    for axis in range(2, y.dim()):
        y = y.unflatten(axis, (-1, scale)).mean(axis)
    return y
