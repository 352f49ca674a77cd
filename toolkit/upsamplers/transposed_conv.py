"""Transposed convolution: the adjoint of a strided convolution, with learned taps."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

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


class TransposedConv(Upsampler):
    """y[s m + q] = sum of x[i] w[.] over the taps of phase q; any kernel size, dilation and groups.

    Padding and output padding follow from the contract's size: the smallest output padding op with
    2 p - op = d (k - 1) + 1 - s. Overlap is even where k % s == 0, which alone does not make the output clean.

    Args:
        kernel_size: Taps per axis, k; None for 2 * scale, or 3 at scale 1.
        dilation: Spacing of the taps, d.
        groups: Channel groups.
        bias: Whether a bias per output channel is learned.
    """

    label = "Transposed conv"
    source = "Zeiler 2010; Dumoulin 2016, arXiv:1603.07285"
    linear = True
    convex = False
    layouts = ("transposed",)
    enlarges_by = "transposed convolution"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        scale: int = 2,
        spatial_dims: int = 2,
        kernel_size: int | None = None,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, scale=scale, spatial_dims=spatial_dims)
        k = checks.integer("transposed_conv: kernel_size", even_overlap(scale) if kernel_size is None else kernel_size)
        d = checks.integer("transposed_conv: dilation", dilation)
        padding, output_padding = exact_padding(k, scale, d)
        self.conv: TransposedModule = transposed_convolution(spatial_dims)(
            in_channels, out_channels, k, scale, padding, output_padding, groups, bias, d
        )

    def upsample(self, x: Tensor, context: Context | None) -> Tensor:
        """Return the transposed convolution."""
        return self.conv(x)

    def kernels(self) -> Iterator[Kernel]:
        """Yield the transposed convolution."""
        strides = (self.scale,) * self.spatial_dims
        layout = Layout("transposed", strides, self.conv.groups, self.conv.dilation[0])
        yield Kernel(self.conv.weight, layout, self.conv.bias)
