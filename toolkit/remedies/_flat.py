"""What flat images excite in front of a layer: the only directions in which unequal gains show on flat regions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from checkerscope.toolkit import checks
from checkerscope.toolkit.remedies import _running

#: Grey levels of the flat images, and the levels of each channel of the coloured ones.
LEVELS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
COLOURS = (0.2, 0.8)
#: Side of the flat images in pixels; their middle must lie far from the border.
SIDE = 64
#: Directions weaker than this part of the strongest are rounding.
TOLERANCE = 1e-4


def images(module: nn.Module, name: str) -> Tensor:
    """Return grey and coloured flat images that fit the first layer of `module`, (N, C, side, ...)."""
    channels, dims = _running.first_channels(module, name)
    grey = torch.tensor(LEVELS)[:, None].expand(-1, channels)
    generator = torch.Generator().manual_seed(0)
    colours = COLOURS[0] + (COLOURS[1] - COLOURS[0]) * torch.rand(4 * channels, channels, generator=generator)
    side = SIDE if dims < 3 else SIDE // 2
    levels = torch.cat([grey, colours])
    return levels.reshape(*levels.shape, *(1,) * dims).expand(-1, -1, *(side,) * dims).contiguous()


def excited(module: nn.Module, layer: nn.Module, flat: Tensor) -> Tensor:
    """Return V V^T (C_in, C_in), float64: the projector onto what flat images give `layer` as input.

    The vectors are read in the middle of the map, V from their singular value decomposition.

    Raises:
        ValueError: If the layer does not run.
    """
    seen: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    try:
        _running.outputs(module, flat, len(flat))
    finally:
        handle.remove()
    if not seen:
        raise checks.mismatch(
            "equal_gain: scope flat", "a layer that runs on flat inputs", str(layer), "use scope=pair"
        )
    vectors = _middle(seen[-1]).double()
    _, values, directions = torch.linalg.svd(vectors, full_matrices=False)
    kept: Any = directions[values > TOLERANCE * values[0].clamp_min(1e-300)]
    return kept.T @ kept


def _middle(x: Tensor) -> Tensor:
    for side in x.shape[2:]:
        x = x.select(2, side // 2)
    return x
