"""Inverse Haar wavelet transform: 2^d channels, read as sub-bands, become one of twice the side."""

from __future__ import annotations

import torch
from torch import Tensor

from checkerscope.toolkit import filters
from checkerscope.toolkit.contracts.upsampler import Context, FixedUpsampler


class Haar(FixedUpsampler):
    """Orthonormal synthesis: a transposed convolution of kernel and stride 2 whose 2^d filters are Haar's.

    Channel 2^d c + b is sub-band b of channel c, b counted with the last axis fastest, 0 low and 1 high per axis: LL,
    LH, HL, HH in 2-D. A bias-free 1x1 convolution comes first unless C_in is 2^d C_out. Constants stay flat only while
    the detail channels are zero on them.
    """

    label = "Inverse Haar"
    source = "Haar 1910, doi:10.1007/BF01456326; Mallat 1989, doi:10.1109/34.192463"
    linear = True
    convex = False
    layouts = ("conv",)
    scales = (2,)

    def __init__(self, in_channels: int, out_channels: int, *, scale: int = 2, spatial_dims: int = 2) -> None:
        super().__init__(in_channels, out_channels, scale=scale, spatial_dims=spatial_dims)
        one = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64) / 2**0.5
        bank = one
        for _ in range(spatial_dims - 1):
            bank = torch.kron(bank, one)
        self.bank = filters.Constant(bank.reshape(2**spatial_dims, 1, *(2,) * spatial_dims))

    def merged_channels(self) -> int:
        """Return the number of sub-bands."""
        return int(2**self.spatial_dims)

    def enlarge(self, x: Tensor, context: Context | None) -> Tensor:
        """Return the synthesis of the sub-bands."""
        bank = self.bank()
        weight = bank.repeat(self.out_channels, *(1,) * (bank.dim() - 1))
        return filters.transposed(self.spatial_dims)(x, weight, stride=2, groups=self.out_channels)
