"""Layers that would enlarge a map but were never executed: the one thing that only their class tells."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from checkerscope.analysis.audit.tracing.modules import Paths
from checkerscope.analysis.audit.tracing.plan import Enlargement

_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_UNPOOLING = (nn.MaxUnpool1d, nn.MaxUnpool2d, nn.MaxUnpool3d)
_ENLARGING = (*_TRANSPOSED, *_UNPOOLING, nn.Upsample, nn.PixelShuffle, nn.Fold)


def unused(model: nn.Module, seen: Iterable[Enlargement], paths: Paths) -> tuple[str, ...]:
    """Return the paths of the enlarging layers that did not run, neither as modules nor through their weight.

    Args:
        model: The model.
        seen: The enlargements of a forward pass.
        paths: What was visited in it.
    """
    used = {_memory(event.taps.weight) for event in seen if event.taps is not None}
    names = []
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        is_used = isinstance(weight, Tensor) and _memory(weight) in used
        if isinstance(module, _ENLARGING) and _enlarges(module) and name not in paths.visited and not is_used:
            names.append(name)
    return tuple(names)


def _memory(weight: Tensor) -> int:
    return weight.untyped_storage().data_ptr()


def _enlarges(module: nn.Module) -> bool:
    if isinstance(module, _TRANSPOSED):
        return max(module.stride) > 1
    if isinstance(module, nn.PixelShuffle):
        return module.upscale_factor > 1
    if isinstance(module, nn.Upsample) and module.scale_factor is not None:
        factors = module.scale_factor if isinstance(module.scale_factor, tuple) else (module.scale_factor,)
        return max(factors) > 1
    return True
