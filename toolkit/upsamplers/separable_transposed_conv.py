"""Separable (decomposed) transposed convolution: one axis after the other."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from checkerscope.toolkit import checks
from checkerscope.toolkit.contracts.upsampler import (
    Context,
    Kernel,
    Layout,
    TransposedModule,
    Upsampler,
    even_overlap,
    exact_padding,
    transposed_convolution,
)


class SeparableTransposedConv(Upsampler):
    """Transposed convolutions of kernel (k, 1) with stride (s, 1), then (1, k) with stride (1, s).

    No bias between them. k C_out (C_in + (d - 1) C_out) weights in d dimensions; in 1-D a plain transposed convolution.

    Args:
        kernel_size: Taps, k; None for 2 * scale, or 3 at scale 1.
        bias: Whether a bias per output channel is learned.
    """

    label = "Separable transposed"
    source = "Wojna 2017, arXiv:1707.05847"
    linear = True
    convex = False
    layouts = ("transposed",)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        scale: int = 2,
        spatial_dims: int = 2,
        kernel_size: int | None = None,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, scale=scale, spatial_dims=spatial_dims)
        default = even_overlap(scale)
        k = checks.integer("separable_transposed_conv: kernel_size", default if kernel_size is None else kernel_size)
        padding, output_padding = exact_padding(k, scale)
        self.convs = nn.ModuleList()
        for axis in range(spatial_dims):
            kernel, stride, pads, extra = (
                [value if other == axis else rest for other in range(spatial_dims)]
                for value, rest in ((k, 1), (scale, 1), (padding, 0), (output_padding, 0))
            )
            channels = in_channels if axis == 0 else out_channels
            last = bias and axis == spatial_dims - 1
            module = transposed_convolution(spatial_dims)
            self.convs.append(module(channels, out_channels, kernel, stride, pads, extra, bias=last))  # type: ignore[arg-type]

    def upsample(self, x: Tensor, context: Context | None) -> Tensor:
        """Return the transposed convolution along every axis in turn."""
        for conv in self.convs:
            x = conv(x)
        return x

    def kernels(self) -> Iterator[Kernel]:
        """Yield one kernel per axis."""
        for conv in self.convs:
            module: TransposedModule = conv  # type: ignore[assignment]
            yield Kernel(module.weight, Layout("transposed", tuple(module.stride)), module.bias)
