"""Sub-pixel convolution followed by a running mean, as in fastai."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn import functional as F

from checkerscope.toolkit import checks
from checkerscope.toolkit.contracts.upsampler import Context, Kernel, Layout, Upsampler, convolution, shuffle


class PixelShuffleBlur(Upsampler):
    """Convolution to C_out s^d channels, channels moved into space, mean over s values per axis.

    The mean holds every phase once, so that all phase gains are equal, bias included, away from the upper and left
    border, where the map continues with its border values. At scale 2 this is fastai's layer, whose mean has
    always two values; its ReLU between convolution and shuffle is left to the network, so that the layer is linear.

    Args:
        kernel_size: Odd number of taps per axis, at low resolution.
        bias: Whether a bias per output channel and phase is learned.
    """

    label = "Sub-pixel + blur"
    source = "Sugawara 2018, arXiv:1806.02658; fastai, PixelShuffle_ICNR(blur=True)"
    linear = True
    convex = False
    layouts = ("sub_pixel",)
    has_equal_gains = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        scale: int = 2,
        spatial_dims: int = 2,
        kernel_size: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, scale=scale, spatial_dims=spatial_dims)
        k = checks.odd("pixel_shuffle_blur: kernel_size", kernel_size)
        self.conv: nn.Conv1d | nn.Conv2d | nn.Conv3d = convolution(spatial_dims)(
            in_channels, out_channels * scale**spatial_dims, k, padding=k // 2, bias=bias
        )

    def upsample(self, x: Tensor, context: Context | None) -> Tensor:
        """Return the running mean of the sub-pixel convolution."""
        mean = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[self.spatial_dims]
        y = shuffle(self.conv(x), self.scale)
        return mean(F.pad(y, (self.scale - 1, 0) * self.spatial_dims, mode="replicate"), self.scale, stride=1)

    def kernels(self) -> Iterator[Kernel]:
        """Yield the convolution."""
        yield Kernel(self.conv.weight, Layout("sub_pixel", (self.scale,) * self.spatial_dims), self.conv.bias)
