"""Large-context transposed convolution: a wide kernel beside a narrow one."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor
from torch.nn import functional as F

from checkerscope.toolkit import checks, filters
from checkerscope.toolkit.contracts.upsampler import (
    Context,
    Kernel,
    Layout,
    TransposedModule,
    Upsampler,
    exact_padding,
    transposed_convolution,
)


class LargeKernelTransposedConv(Upsampler):
    """Sum of a transposed convolution of `kernel_size` taps per axis and one of 3, with the same centre.

    Run as one transposed convolution with the summed kernel, which is the same map. One bias serves both.

    Args:
        kernel_size: Odd number of taps per axis of the wide kernel, at least the scale and 3; 7 or 11 at scale 2 in
            the paper. None for 2 * scale + 3.
        bias: Whether a bias per output channel is learned.
    """

    label = "Large-kernel transposed"
    source = "Agnihotri 2024, arXiv:2311.17524"
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
        name = "large_kernel_transposed_conv: kernel_size"
        k = checks.odd(name, 2 * scale + 3 if kernel_size is None else kernel_size)
        checks.integer(name, k, minimum=max(3, scale))
        module = transposed_convolution(spatial_dims)
        self.wide: TransposedModule = module(in_channels, out_channels, k, bias=bias)
        self.narrow: TransposedModule = module(in_channels, out_channels, 3, bias=False)

    def effective_weight(self) -> Tensor:
        """Return the kernel that acts, (C_in, C_out, *k): the wide one with the narrow one added at its centre."""
        margin = (self.wide.kernel_size[0] - 3) // 2
        return self.wide.weight + F.pad(self.narrow.weight, (margin,) * (2 * self.spatial_dims))

    def upsample(self, x: Tensor, context: Context | None) -> Tensor:
        """Return the transposed convolution with the summed kernel."""
        padding, output_padding = exact_padding(self.wide.kernel_size[0], self.scale)
        transposed = filters.transposed(self.spatial_dims)
        return transposed(x, self.effective_weight(), self.wide.bias, self.scale, padding, output_padding)

    def kernels(self) -> Iterator[Kernel]:
        """Yield the wide and the narrow kernel."""
        layout = Layout("transposed", (self.scale,) * self.spatial_dims)
        yield Kernel(self.wide.weight, layout, self.wide.bias)
        yield Kernel(self.narrow.weight, layout)
