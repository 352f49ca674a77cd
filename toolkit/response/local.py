"""The response of a content-dependent upsampler: its linearisation at a given input.

The map x -> y has no kernel of its own; its derivative J at x has. As in `linear`, everything is computed
in float64 on the CPU, on a copy in evaluation mode.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from checkerscope.toolkit import checks
from checkerscope.toolkit.contracts.upsampler import Context
from checkerscope.toolkit.response import impulses


def jacobian_vector(upsampler: nn.Module, x: Tensor, tangent: Tensor, context: Context | None = None) -> Tensor:
    """Return J t: the change of the output at `x` in the direction `tangent`, float64 (N, C_out, *high).

    J is the derivative with respect to `x`; the context stays fixed.

    Raises:
        ValueError: If `tangent` has another shape than `x`, the upsampler refuses its input, or this torch cannot
            differentiate one of its operations twice (2.11 for one: grid_sample).
    """
    checks.shape("jacobian_vector: tangent", tangent, tuple(x.shape))
    try:  # reverse mode twice: grid_sample has no forward-mode derivative
        return torch.autograd.functional.jvp(_of_input(upsampler, context), _exact(x), _exact(tangent))[1]
    except RuntimeError as error:
        if "derivative for" not in str(error):
            raise
        wanted, torch_ = "operations with a second derivative", f"torch {torch.__version__}: {error}"
        raise checks.mismatch("jacobian_vector", wanted, torch_, "use a later torch") from error


def vector_jacobian(upsampler: nn.Module, x: Tensor, cotangent: Tensor, context: Context | None = None) -> Tensor:
    """Return J^T c: the gradient of sum(c * output) at `x`, float64, of the shape of `x`.

    Raises:
        ValueError: If `cotangent` has another shape than the output, or the upsampler refuses its input.
    """
    run = _of_input(upsampler, context)
    with torch.no_grad():
        checks.shape("vector_jacobian: cotangent", cotangent, tuple(run(_exact(x)).shape))
    return torch.autograd.functional.vjp(run, _exact(x), _exact(cotangent))[1]


def phase_gains_at(
    upsampler: nn.Module, x: Tensor, *, scale: int | None = None, margin: int = 0, context: Context | None = None
) -> Tensor:
    """Return the phase gains of the linearisation at `x`, float64 (C_out, C_in, s, ..., s).

    The gain from input channel i is the change of the output when all of channel i rises by one, averaged over the
    batch and over the cells of each phase. For a linear upsampler that is `phase_gains`, given a margin as wide as
    the kernel's reach.

    Args:
        upsampler: Any upsampler, content-dependent ones included.
        x: Where to linearise, (N, C_in, *low).
        scale: Factor per axis where the module has no attribute `scale`.
        margin: Input cells at every border that are left out.
        context: What the encoder saw, for upsamplers that need it.

    Raises:
        ValueError: If the margin leaves no cell, or the upsampler refuses its input.
    """
    s = impulses.black_box(upsampler, scale, x.shape[1], x.dim() - 2).scale
    margin = checks.integer("phase_gains_at: margin", margin, minimum=0)
    if 2 * margin >= min(x.shape[2:]):
        raise checks.mismatch("phase_gains_at: margin", "less than half of every side", margin, "use a larger input")
    gains = []
    for channel in range(x.shape[1]):
        tangent = torch.zeros_like(x)
        tangent[:, channel] = 1
        y = jacobian_vector(upsampler, x, tangent, context)
        for axis in range(2, y.dim()):
            y = y.narrow(axis, margin * s, y.shape[axis] - 2 * margin * s)
        gains.append(_mean_per_phase(y, s).mean(0))
    return torch.stack(gains, 1)


def _exact(x: Tensor) -> Tensor:
    return x.detach().to("cpu", torch.float64)


def _of_input(upsampler: nn.Module, context: Context | None) -> Callable[[Tensor], Tensor]:
    copied = copy.deepcopy(upsampler).cpu().double().eval()
    if context is None:
        return copied
    indices = None if context.indices is None else context.indices.cpu()
    fixed = Context(indices, None if context.features is None else _exact(context.features))
    return lambda x: copied(x, fixed)


def _mean_per_phase(y: Tensor, scale: int) -> Tensor:
    """Return (N, C, s, ..., s): means over all cells, for each phase."""
    for axis in range(2, y.dim()):
        y = y.unflatten(axis, (-1, scale)).mean(axis)
    return y
