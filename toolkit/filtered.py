"""Bases of the upsamplers that are made of a filter: alone, or after a transposed convolution."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn import functional as F

from toolkit import checks, filters
from toolkit.upsampler import Context, FixedUpsampler, Kernel, Layout, Upsampler, exact_padding


class FilterUpsampler(FixedUpsampler):
    """Base of the fixed upsamplers that are one filter: zeros inserted, then the same taps along every axis.

    A subclass designs the taps of one axis, which sum to s, and passes them here. The map continues with its border
    values, so that a constant stays constant up to the border.
    """

    def __init__(
        self, in_channels: int, out_channels: int, taps: Tensor, *, scale: int = 2, spatial_dims: int = 2
    ) -> None:
        super().__init__(in_channels, out_channels, scale=scale, spatial_dims=spatial_dims)
        self.taps = filters.Constant(taps)

    def enlarge(self, x: Tensor, context: Context | None) -> Tensor:
        """Return the filtered map."""
        return filters.enlarge(x, self.taps(), self.scale)


class FilteredTransposedConv(Upsampler):
    """Base of the transposed convolutions that a fixed filter follows: H(z) = W(z) F(z), both at high resolution.

    Filter and kernel commute, so that this is also the filter's interpolation followed by a convolution of stride 1;
    the kernel's layout says so, because that is what decides its fan. The filter costs C_out instead of C_in C_out
    products, hence comes second. Zero padding; the bias comes last and is the same for all phases.
    """

    layouts = ("transposed",)

    def __init__(
        self,
        channels: tuple[int, int],
        taps: Tensor,
        *,
        scale: int,
        spatial_dims: int,
        kernel_size: int,
        bias: bool,
    ) -> None:
        super().__init__(*channels, scale=scale, spatial_dims=spatial_dims)
        name = type(self).__module__.rpartition(".")[2]
        k = checks.integer(f"{name}: kernel_size", kernel_size)
        module = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}[spatial_dims]
        self.conv: nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d = module(*channels, k, scale, bias=bias)
        self.taps = filters.Constant(taps)

    def upsample(self, x: Tensor, context: Context | None) -> Tensor:
        """Return the transposed convolution, filtered, plus the bias."""
        transposed = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}[self.spatial_dims]
        taps = self.taps()
        reach = taps.shape[0] - 1
        padding, output_padding = exact_padding(self.conv.kernel_size[0] + reach, self.scale)
        # the crop of the merged kernel: from the filter's border as far as it goes, the rest from the convolution's
        crop = max(0, padding - reach)
        y = transposed(x, self.conv.weight, None, self.scale, crop, output_padding)
        before = reach - padding + crop
        return filters.smooth(y, taps, self.conv.bias, before, before)

    def kernels(self) -> Iterator[Kernel]:
        """Yield the transposed convolution."""
        yield Kernel(self.conv.weight, Layout("transposed", (1,) * self.spatial_dims), self.conv.bias)
