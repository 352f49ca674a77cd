"""Resize-convolution with a linear, bilinear or trilinear resize."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn import functional as F

from checkerscope.toolkit import checks
from checkerscope.toolkit.contracts.upsampler import Context, Kernel, Layout, Upsampler, convolution


class BilinearConv(Upsampler):
    """Bilinear resize (align_corners=False), then a convolution with `kernel_size` taps per axis and zero padding.

    Args:
        kernel_size: Odd number of taps per axis.
        bias: Whether a bias per output channel is learned.
    """

    label = "Bilinear + conv"
    source = "Odena 2016, distill.pub/2016/deconv-checkerboard"
    linear = True
    convex = False
    layouts = ("conv",)
    enlarges_by = "linear resize and convolution"

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
        k = checks.odd("bilinear_conv: kernel_size", kernel_size)
        self.conv: nn.Conv1d | nn.Conv2d | nn.Conv3d = convolution(spatial_dims)(
            in_channels, out_channels, k, padding=k // 2, bias=bias
        )

    def upsample(self, x: Tensor, context: Context | None) -> Tensor:
        """Return the convolution of the resize."""
        mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[self.spatial_dims]
        return self.conv(F.interpolate(x, scale_factor=self.scale, mode=mode, align_corners=False))

    def kernels(self) -> Iterator[Kernel]:
        """Yield the convolution."""
        yield Kernel(self.conv.weight, Layout("conv", (1,) * self.spatial_dims), self.conv.bias)
