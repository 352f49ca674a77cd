"""The upsampler contract: what a file in `toolkit/upsamplers` provides and what it may rely on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from checkerscope.toolkit import checks

#: Layouts of a learnable kernel; s is the factor per axis, g the groups, d the number of spatial axes.
LAYOUTS = ("conv", "transposed", "sub_pixel")

#: How one convolution enlarges: by itself, in front of a shuffle, or behind a resize.
ENLARGED_BY = (
    "transposed convolution",
    "sub-pixel shuffle",
    "nearest resize and convolution",
    "linear resize and convolution",
)


@dataclass(frozen=True)
class Layout:
    """How the numbers of a kernel are arranged.

    Attributes:
        kind: `conv`: (C_out, C_in/g, *k), stride 1. `transposed`: (C_in, C_out/g, *k), as in
            `torch.nn.ConvTranspose2d`. `sub_pixel`: (C_out * prod(strides), C_in/g, *k), where channel
            `c * prod(strides) + p` feeds phase p (row-major) of output channel c, as in `torch.nn.PixelShuffle`.
        strides: Enlargement that this kernel performs, per spatial axis.
        groups: Channel groups.
        dilation: Spacing of the taps, the same on every axis.
    """

    kind: str
    strides: tuple[int, ...]
    groups: int = 1
    dilation: int = 1

    def fan_in(self, kernel: Tensor) -> float:
        """Return the mean number of weights that reach one output value.

        A transposed convolution spreads its C_in k^d taps over prod(strides) phases, which is a factor
        prod(strides) less than C_in k^d; torch's own fan for this layout is computed from C_out instead.
        """
        taps = prod(kernel.shape[2:])
        if self.kind == "transposed":
            return kernel.shape[0] / self.groups * taps / prod(self.strides)
        return float(kernel.shape[1] * taps)


@dataclass(frozen=True)
class Kernel:
    """One learnable kernel of an upsampler, with its bias if it has one."""

    weight: Tensor
    layout: Layout
    bias: Tensor | None = None


@dataclass(frozen=True)
class Context:
    """What the encoder saw at the resolution that an upsampler restores.

    Attributes:
        indices: Flat positions of the maxima, (N, C, *low), as returned by `torch.nn.functional.max_pool2d`.
        features: Feature map before pooling, (N, C, *high).
    """

    indices: Tensor | None = None
    features: Tensor | None = None


class Upsampler(nn.Module):
    """Base of every upsampler: maps (N, C_in, *spatial) to (N, C_out, *(scale * spatial)), always.

    A subclass declares the class attributes below as literals (they are read without importing the file),
    and defines `upsample`, plus `kernels` if it has learnable kernels.

    Attributes:
        label: Short name for tables and figures.
        source: Author, year, reference.
        linear: The map from x to the output is affine (for a fixed context).
        convex: Interior output values are weighted means of input values: weights >= 0 that sum to 1.
        layouts: Kinds of the kernels that `kernels` yields, () for a fixed upsampler without channel change.
        scales: Supported scales; None for any integer from 1.
        dims: Supported numbers of spatial axes.
        enlarges_by: One of `ENLARGED_BY` where the layer is one convolution and what is named, "" for anything else.
        has_equal_gains: The phase gains are equal whatever the kernels are.
        needs_context: "" or the field of `Context` without which it cannot work ("indices", "features").
    """

    label: ClassVar[str]
    source: ClassVar[str]
    linear: ClassVar[bool] = True
    convex: ClassVar[bool] = False
    layouts: ClassVar[tuple[str, ...]] = ()
    scales: ClassVar[tuple[int, ...] | None] = None
    dims: ClassVar[tuple[int, ...]] = (1, 2, 3)
    enlarges_by: ClassVar[str] = ""
    has_equal_gains: ClassVar[bool] = False
    needs_context: ClassVar[str] = ""

    def __init__(self, in_channels: int, out_channels: int, *, scale: int = 2, spatial_dims: int = 2) -> None:
        super().__init__()
        name = type(self).__module__.rpartition(".")[2]
        self.in_channels = checks.integer(f"{name}: in_channels", in_channels)
        self.out_channels = checks.integer(f"{name}: out_channels", out_channels)
        self.scale = checks.integer(f"{name}: scale", scale)
        self.spatial_dims = checks.integer(f"{name}: spatial_dims", spatial_dims)
        checks.choice(f"{name}: spatial_dims", self.spatial_dims, self.dims)
        if self.scales is not None:
            near = min(self.scales, key=lambda s: abs(s - self.scale))
            checks.choice(f"{name}: scale", self.scale, self.scales, f"the nearest scale that works is {near}")

    def forward(self, x: Tensor, context: Context | None = None) -> Tensor:
        """Return the enlarged map, (N, C_out, *(scale * spatial)).

        Raises:
            ValueError: If `x` has another number of axes or channels, or a needed context is missing.
        """
        name = type(self).__module__.rpartition(".")[2]
        if x.dim() != self.spatial_dims + 2 or x.shape[1] != self.in_channels:
            axes = ("d", "h", "w")[3 - self.spatial_dims :]
            checks.shape(f"{name}: input", x, ("n", self.in_channels, *axes))
        if self.needs_context and getattr(context, self.needs_context, None) is None:
            raise checks.mismatch(
                f"{name}: context",
                f"the encoder's {self.needs_context}",
                "none",
                "pass Context(...) as second argument",
            )
        return self.upsample(x, context)

    def upsample(self, x: Tensor, context: Context | None) -> Tensor:
        """Return the enlarged map; `x` has been checked."""
        raise NotImplementedError

    def kernels(self) -> Iterator[Kernel]:
        """Yield the learnable kernels, so that an initialization can act without knowing the class."""
        yield from ()

    def plain_convolution(self) -> nn.Module:
        """Return the convolution of an upsampler that declares `enlarges_by` as layers of torch, with what acts in it.

        Raises:
            NotImplementedError: If the upsampler is no single convolution.
        """
        if not self.enlarges_by:
            raise NotImplementedError(type(self).__name__)
        conv: nn.Module = self.get_submodule("conv")
        return conv


#: Builds an upsampler for given channels: every other choice is already bound.
Factory = Callable[[int, int], Upsampler]


def convolution(spatial_dims: int) -> type[nn.Conv1d] | type[nn.Conv2d] | type[nn.Conv3d]:
    """Return torch's convolution module for 1, 2 or 3 spatial axes."""
    modules: dict[int, type[nn.Conv1d] | type[nn.Conv2d] | type[nn.Conv3d]]
    modules = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
    return modules[spatial_dims]


def replication_pad(widths: int | tuple[int, ...], spatial_dims: int) -> nn.Module:
    """Return torch's layer that continues a map with its border values; widths as it takes them, last axis first."""
    pads: dict[int, type[nn.Module]]
    pads = {1: nn.ReplicationPad1d, 2: nn.ReplicationPad2d, 3: nn.ReplicationPad3d}
    return pads[spatial_dims](widths)


#: Torch's transposed convolution of some number of axes.
TransposedModule = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d


def transposed_convolution(
    spatial_dims: int,
) -> type[nn.ConvTranspose1d] | type[nn.ConvTranspose2d] | type[nn.ConvTranspose3d]:
    """Return torch's transposed-convolution module for 1, 2 or 3 spatial axes."""
    modules: dict[int, type[nn.ConvTranspose1d] | type[nn.ConvTranspose2d] | type[nn.ConvTranspose3d]]
    modules = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
    return modules[spatial_dims]


class FixedUpsampler(Upsampler):
    """Base of the upsamplers without kernels of their own: a subclass defines `enlarge` on unchanged channels.

    Where C_in differs from C_out a bias-free 1x1 convolution comes before the resize, and nothing where equal. A
    subclass whose `enlarge` merges channels says how many it takes per output channel in `merged_channels`.
    """

    layouts: ClassVar[tuple[str, ...]] = ("conv",)

    def __init__(self, in_channels: int, out_channels: int, *, scale: int = 2, spatial_dims: int = 2) -> None:
        super().__init__(in_channels, out_channels, scale=scale, spatial_dims=spatial_dims)
        self.change: nn.Module = nn.Identity()
        wanted = out_channels * self.merged_channels()
        if in_channels != wanted:
            self.change = convolution(spatial_dims)(in_channels, wanted, 1, bias=False)

    def merged_channels(self) -> int:
        """Return how many channels `enlarge` turns into one."""
        return 1

    def upsample(self, x: Tensor, context: Context | None) -> Tensor:
        """Return the resize of the channel change."""
        return self.enlarge(self.change(x), context)

    def enlarge(self, x: Tensor, context: Context | None) -> Tensor:
        """Return (N, C, *(scale * spatial)) from (N, C, *spatial)."""
        raise NotImplementedError

    def kernels(self) -> Iterator[Kernel]:
        """Yield the 1x1 convolution, if there is one."""
        if not isinstance(self.change, nn.Identity):
            weight: Any = self.change.weight
            yield Kernel(weight, Layout("conv", (1,) * self.spatial_dims))


def shuffle(x: Tensor, scale: int) -> Tensor:
    """Return `x` with channels moved into space: (N, C s^d, *spatial) to (N, C, *(s * spatial)), d = 1, 2, 3.

    Channel `c s^d + p` becomes phase p (row-major) of channel c, as in `torch.nn.PixelShuffle`.

    >>> import torch
    >>> shuffle(torch.arange(4.0).reshape(1, 4, 1, 1), 2).squeeze()
    tensor([[0., 1.],
            [2., 3.]])
    """
    n, c, *spatial = x.shape
    d = len(spatial)
    if d == 2:  # torch's keeps channels last, which makes layer and next convolution 20 to 35 % faster
        return F.pixel_shuffle(x, scale)
    x = x.reshape(n, c // scale**d, *(scale,) * d, *spatial)
    order = [axis for i in range(d) for axis in (2 + d + i, 2 + i)]  # h, i, w, j
    return x.permute(0, 1, *order).reshape(n, c // scale**d, *(scale * length for length in spatial))


def exact_padding(kernel_size: int, scale: int, dilation: int = 1) -> tuple[int, int]:
    """Return (padding, output_padding) with which a transposed convolution enlarges exactly `scale` times.

    The size is (n - 1) s - 2 p + d (k - 1) + op + 1, so s n needs 2 p - op = d (k - 1) + 1 - s, and torch
    accepts 0 <= op < max(s, d).

    Raises:
        ValueError: If there is none: an even kernel at scale 1.

    >>> exact_padding(4, 2), exact_padding(3, 2), exact_padding(2, 3)
    ((1, 0), (1, 1), (0, 1))
    """
    excess = dilation * (kernel_size - 1) + 1 - scale
    padding = max(0, -(-excess // 2))
    if 2 * padding - excess >= max(scale, dilation):
        raise checks.mismatch("kernel_size", "an odd integer at scale 1", kernel_size, f"use {kernel_size + 1}")
    return padding, 2 * padding - excess


def even_overlap(scale: int) -> int:
    """Return the kernel size that reaches every output pixel from two input pixels per axis: 2 s, or 3 at scale 1."""
    return 2 * scale if scale > 1 else 3
