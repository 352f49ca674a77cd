"""Sub-pixel convolution: a convolution at low resolution whose channels are the phases of the output."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from checkerscope.toolkit import checks
from checkerscope.toolkit.contracts.upsampler import Context, Kernel, Layout, Upsampler, convolution, shuffle


class PixelShuffle(Upsampler):
    """Convolution to C_out s^d channels with zero padding, then channels moved into space.

    The same functions as a transposed convolution with s k taps per axis, apart from the bias, which here differs
    between phases.

    Args:
        kernel_size: Odd number of taps per axis, at low resolution.
        bias: Whether a bias per output channel and phase is learned.
    """

    label = "Sub-pixel"
    source = "Shi 2016, arXiv:1609.05158"
    linear = True
    convex = False
    layouts = ("sub_pixel",)
    enlarges_by = "sub-pixel shuffle"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        scale: int = 2,
        spatial_dims: int = 2,
        kernel_size: int = 3,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, scale=scale, spatial_dims=spatial_dims)
        k = checks.odd("pixel_shuffle: kernel_size", kernel_size)
        self.conv: nn.Conv1d | nn.Conv2d | nn.Conv3d = convolution(spatial_dims)(
            in_channels, out_channels * scale**spatial_dims, k, padding=k // 2, bias=bias
        )

    def upsample(self, x: Tensor, context: Context | None) -> Tensor:
        """Return the convolution with its phases in place."""
        return shuffle(self.conv(x), self.scale)

    def kernels(self) -> Iterator[Kernel]:
        """Yield the convolution."""
        yield Kernel(self.conv.weight, Layout("sub_pixel", (self.scale,) * self.spatial_dims), self.conv.bias)
