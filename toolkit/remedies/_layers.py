"""The few layers that a cured module may hold besides torch's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from checkerscope.toolkit.contracts.upsampler import Context, Upsampler, convolution, replication_pad, shuffle


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


class _Around(nn.Module):
    """A module around another, its first child, which has the attributes of that one for the code that uses them."""

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            inner = next(iter(self.__dict__.get("_modules", {}).values()), None)
            if inner is None:
                raise
            return getattr(inner, name)


class Behind(_Around, nn.Sequential):
    """A layer and another behind it, which looks like the first."""

    def forward(self, input: Any, *args: Any, **kwargs: Any) -> Any:
        """Return what the second makes of the first one's output; further arguments are for the first."""
        first, second = self
        return second(first(input, *args, **kwargs))


class BehindCalls(_Around):
    """A module in whose `forward` layers follow calls of functions.

    Args:
        inner: The module.
    """

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.layers = inner, nn.ModuleDict()

    def add(self, function: str, ordinal: int, layer: nn.Module) -> None:
        """Let `layer` follow the call number `ordinal` of a function, from 0, counted within one `forward`."""
        self.layers[_key(function, ordinal)] = layer

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the module makes of its arguments with the layers in place."""
        with _Following(self.layers):
            return self.inner(*args, **kwargs)


def _key(function: str, ordinal: int) -> str:
    return f"{function}_{ordinal}".replace(".", "_")  # torch wants no dots in the name of a module


class _Following(TorchFunctionMode):
    def __init__(self, layers: nn.ModuleDict) -> None:
        super().__init__()
        self._layers, self._calls = layers, Counter[str]()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        key = _key(name, self._calls[name])
        self._calls[name] += 1
        output = func(*args, **(kwargs or {}))
        return self._layers[key](output) if key in self._layers else output


class AxisFilter(nn.Module):
    """Fixed taps along every spatial axis of a map of any number of channels, whose size stays.

    The taps are divided by their sum; the map continues with its border values. An even number of taps moves it by
    half a pixel towards the end.

    Args:
        taps: One set per spatial axis; one tap leaves an axis as it is.
    """

    def __init__(self, taps: Sequence[Tensor]) -> None:
        super().__init__()
        self.dims = len(taps)
        for axis, values in enumerate(taps):
            self.register_buffer(f"taps{axis}", (values / values.sum()).to(torch.get_default_dtype()))

    def forward(self, x: Tensor) -> Tensor:
        """Return the filtered map; anything else than a map of that many axes is returned as it is."""
        if not x.is_floating_point() or x.dim() != self.dims + 2:
            return x
        for axis in range(self.dims):
            taps: Tensor = getattr(self, f"taps{axis}")
            if len(taps) > 1:
                x = _convolved(x, taps.to(x), 2 + axis)
        return x


def _convolved(x: Tensor, taps: Tensor, axis: int) -> Tensor:
    moved = x.movedim(axis, -1)
    lines = F.pad(moved.reshape(-1, 1, moved.shape[-1]), (len(taps) // 2, (len(taps) - 1) // 2), mode="replicate")
    # torch's convolution is a correlation
    return F.conv1d(lines, taps.flip(0)[None, None]).reshape(moved.shape).movedim(-1, axis)


class BehindOutput(_Around):
    """A module and a filter behind every map that it returns, also in tuples, dictionaries and what torch knows."""

    def __init__(self, inner: nn.Module, layer: nn.Module) -> None:
        super().__init__()
        self.inner, self.layer = inner, layer

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return the module's output, its maps filtered."""
        return pytree.tree_map_only(Tensor, self.layer, self.inner(*args, **kwargs))


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
