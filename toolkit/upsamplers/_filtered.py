"""Bases of the upsamplers that are made of a filter: alone, or after a transposed convolution."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from checkerscope.toolkit import checks, filters
from checkerscope.toolkit.contracts.upsampler import (
    Context,
    FixedUpsampler,
    Kernel,
    Layout,
    TransposedModule,
    Upsampler,
    even_overlap,
    exact_padding,
    transposed_convolution,
)


class FilterUpsampler(FixedUpsampler):
    """Base of the fixed upsamplers that are one filter: zeros inserted, then the same taps along every axis.

    A subclass sets `taps`: those of one axis, which sum to s. The map continues with its border values, so that a
    constant stays constant up to the border.
    """

    taps: filters.Constant

    def enlarge(self, x: Tensor, context: Context | None) -> Tensor:
        """Return the filtered map."""
        return filters.enlarge(x, self.taps(), self.scale)


class FilteredTransposedConv(Upsampler):
    """Base of the transposed convolutions that a fixed filter follows: H(z) = W(z) F(z), both at high resolution.

    A subclass sets `taps`, the filter of one axis, with sum s. Filter and kernel commute, so that this is also the
    filter's interpolation followed by a convolution of stride 1; the kernel's layout says so, because that is what
    decides its fan. The filter acts on C_out channels one by one, so it comes second, where it is cheap. Outside the
    map are zeros; the bias comes last and is the same for all phases.
    """

    layouts = ("transposed",)
    taps: filters.Constant

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
        name = type(self).__module__.rpartition(".")[2]
        k = checks.integer(f"{name}: kernel_size", even_overlap(scale) if kernel_size is None else kernel_size)
        exact_padding(k, scale)
        self.conv: TransposedModule = transposed_convolution(spatial_dims)(
            in_channels, out_channels, k, scale, bias=bias
        )

    def upsample(self, x: Tensor, context: Context | None) -> Tensor:
        """Return the transposed convolution, filtered, plus the bias."""
        taps = self.taps()
        reach = taps.shape[0] - 1
        padding, output_padding = exact_padding(self.conv.kernel_size[0] + reach, self.scale)
        # the merged kernel's crop: what the filter loses at the border anyway, the rest from the convolution
        crop = max(0, padding - reach)
        y = filters.transposed(self.spatial_dims)(x, self.conv.weight, None, self.scale, crop, output_padding)
        outside = reach - padding + crop
        return filters.smooth(y, taps, self.conv.bias, outside)

    def kernels(self) -> Iterator[Kernel]:
        """Yield the transposed convolution."""
        yield Kernel(self.conv.weight, Layout("transposed", (1,) * self.spatial_dims), self.conv.bias)
