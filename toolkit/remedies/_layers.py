"""The few layers that a cured module may hold besides torch's own."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from checkerscope.toolkit.contracts.upsampler import Context, Upsampler, convolution, shuffle


class Shuffle(nn.Module):
    """`torch.nn.PixelShuffle` for one or three axes: (N, C s^d, *spatial) to (N, C, *(s * spatial))."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """Return the shuffled map."""
        return shuffle(x, self.scale)


class PhaseAffine(nn.Module):
    """y = gain x + offset with one gain and one offset per channel and output phase.

    Args:
        gain: (C, *period).
        offset: (C, *period).
    """

    def __init__(self, gain: Tensor, offset: Tensor) -> None:
        super().__init__()
        self.gain, self.offset = nn.Parameter(gain.clone()), nn.Parameter(offset.clone())

    def forward(self, x: Tensor) -> Tensor:
        """Return the scaled and shifted map, of the shape of `x`; any size, phase 0 first."""
        return x * self._tiled(self.gain, x) + self._tiled(self.offset, x)

    @staticmethod
    def _tiled(values: Tensor, x: Tensor) -> Tensor:
        for axis, side in enumerate(x.shape[2:], start=1):
            index = torch.arange(side, device=values.device) % values.shape[axis]
            values = values.index_select(axis, index)
        return values


class Cured(Upsampler):
    """What a remedy put in the place of one of the project's upsamplers, under the same contract."""

    label = "Cured"
    source = "a remedy"
    linear: ClassVar[bool] = True

    def __init__(self, before: Upsampler, inner: nn.Module) -> None:
        super().__init__(before.in_channels, before.out_channels, scale=before.scale, spatial_dims=before.spatial_dims)
        self.linear = before.linear  # type: ignore[misc]
        self.inner = inner

    def upsample(self, x: Tensor, context: Context | None) -> Tensor:
        """Return what the cured layer makes of `x`."""
        return self.inner(x)


def shuffle_module(scale: int, dims: int) -> nn.Module:
    """Return torch's pixel shuffle for two axes and ours for one and three."""
    return nn.PixelShuffle(scale) if dims == 2 else Shuffle(scale)


def replication_pad(widths: int | tuple[int, ...], dims: int) -> nn.Module:
    """Return torch's layer that continues a map with its border values; widths as it takes them, last axis first."""
    pads: dict[int, type[nn.Module]]
    pads = {1: nn.ReplicationPad1d, 2: nn.ReplicationPad2d, 3: nn.ReplicationPad3d}
    return pads[dims](widths)


def filter_module(taps: Tensor, channels: int, dims: int) -> nn.Module:
    """Return a fixed depthwise filter in plain torch layers that keeps the size: the same taps along every axis.

    The taps are divided by their sum, so that constants stay; the map continues with its border values. An even
    number of taps moves the map by half a pixel towards the end.
    """
    taps = (taps / taps.sum()).to(torch.get_default_dtype())
    before, behind = len(taps) // 2, (len(taps) - 1) // 2
    conv: nn.Conv2d = nn.utils.skip_init(convolution(dims), channels, channels, len(taps), groups=channels, bias=False)
    kernel = taps.flip(0)  # torch's convolution is a correlation
    for _ in range(dims - 1):
        kernel = kernel[..., None] * taps.flip(0)
    conv.weight = nn.Parameter(kernel.expand(channels, 1, *kernel.shape).clone(), requires_grad=False)
    return nn.Sequential(replication_pad((before, behind) * dims, dims), conv)
