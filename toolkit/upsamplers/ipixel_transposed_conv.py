"""Input pixel transposed convolution (iPixelDCL): as PixelDCL, but every step sees the input again."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from checkerscope.toolkit import checks
from checkerscope.toolkit.contracts.upsampler import Context, Kernel, Layout, Upsampler, shuffle


class IPixelTransposedConv(Upsampler):
    """Phase (0, 0) is a = conv(x), (1, 1) is b = conv(x, a), and (1, 0), (0, 1) are the halves of conv(x, a, b).

    All convolutions act at low resolution, with zero padding.
    k^2 C_out (C_in + (C_in + C_out) + 2 (C_in + 2 C_out)) weights. Defined for scale 2 in 2-D. The authors' program
    has no bias; here one per output channel, the same for all phases, comes last.

    Args:
        kernel_size: Odd number of taps per axis.
        bias: Whether a bias per output channel is learned.
    """

    label = "Input pixel transposed conv"
    source = "Gao 2017, arXiv:1705.06820"
    linear = True
    convex = False
    layouts = ("conv",)
    scales = (2,)
    dims = (2,)

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
        k = checks.odd("ipixel_transposed_conv: kernel_size", kernel_size)
        self.first = nn.Conv2d(in_channels, out_channels, k, padding=k // 2, bias=False)
        self.second = nn.Conv2d(in_channels + out_channels, out_channels, k, padding=k // 2, bias=False)
        self.last = nn.Conv2d(in_channels + 2 * out_channels, 2 * out_channels, k, padding=k // 2, bias=False)
        self.bias = nn.Parameter(self.first.weight.new_zeros(out_channels)) if bias else None

    def upsample(self, x: Tensor, context: Context | None) -> Tensor:
        """Return the interleaved phases."""
        a = self.first(x)
        b = self.second(torch.cat([x, a], 1))
        below, right = self.last(torch.cat([x, a, b], 1)).chunk(2, 1)
        phases = torch.stack([a, right, below, b], 2)
        if self.bias is not None:
            phases = phases + self.bias[:, None, None, None]
        return shuffle(phases.flatten(1, 2), 2)

    def kernels(self) -> Iterator[Kernel]:
        """Yield the three convolutions; the last comes with the bias."""
        layout = Layout("conv", (1, 1))
        yield Kernel(self.first.weight, layout)
        yield Kernel(self.second.weight, layout)
        yield Kernel(self.last.weight, layout, self.bias)
