"""Sub-pixel convolution whose phase gains are equal whatever is learned, by projection of its kernel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from checkerscope.toolkit import checks, filters
from checkerscope.toolkit.contracts.upsampler import Context, Kernel, Layout, Upsampler, convolution, shuffle
from checkerscope.toolkit.filters import equal_gain_projection


class EqualGainPixelShuffle(Upsampler):
    """A sub-pixel convolution with the nearest kernel of equal phase gains and one bias for all phases.

    The learned kernel is free; what acts is its orthogonal projection, `effective_weight`. Order 0: the mean over a
    phase's taps moves to the mean over all phases' taps. Order d: zeros of multiplicity d + 1 at the alias frequencies.

    Args:
        order: d.
        kernel_size: Odd number of taps per axis at low resolution, with s k >= (d + 1) (s - 1) + 1; None for the
            smallest that fits, from 3.
        bias: Whether a bias per output channel is learned.
        border: `zeros`, as in torch's layer, which leaves a grid in the border rows; or `replicate`, which does not.
    """

    label = "Equal-gain sub-pixel"
    source = "this study"
    linear = True
    convex = False
    layouts = ("sub_pixel",)
    enlarges_by = "sub-pixel shuffle"
    has_equal_gains = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        scale: int = 2,
        spatial_dims: int = 2,
        order: int = 0,
        kernel_size: int | None = None,
        bias: bool = True,
        border: Literal["zeros", "replicate"] = "zeros",
    ) -> None:
        super().__init__(in_channels, out_channels, scale=scale, spatial_dims=spatial_dims)
        order = checks.integer("equal_gain_pixel_shuffle: order", order, minimum=0)
        default = max(3, order + 1 + order % 2)  # odd; s k >= (order + 1)(s - 1) + 1 from k = order + 1
        k = checks.odd("equal_gain_pixel_shuffle: kernel_size", default if kernel_size is None else kernel_size)
        self.border = checks.choice("equal_gain_pixel_shuffle: border", border, filters.BORDERS)
        projection = equal_gain_projection.sub_pixel_projection((k,) * spatial_dims, (scale,) * spatial_dims, order)
        self.analysis, self.synthesis = filters.Constant(projection.analysis), filters.Constant(projection.synthesis)
        self.conv: nn.Conv1d | nn.Conv2d | nn.Conv3d = convolution(spatial_dims)(
            in_channels, out_channels * scale**spatial_dims, k, bias=False
        )
        self.bias = nn.Parameter(self.conv.weight.new_zeros(out_channels)) if bias else None

    def effective_weight(self) -> Tensor:
        """Return the kernel that acts, (C_out s^d, C_in, *k): the projection of the learned one."""
        strides = (self.scale,) * self.spatial_dims
        flat = equal_gain_projection.flatten_sub_pixel(self.conv.weight, strides)
        flat = flat - flat @ self.analysis() @ self.synthesis()
        return equal_gain_projection.unflatten_sub_pixel(flat, self.conv.weight.shape)

    def upsample(self, x: Tensor, context: Context | None) -> Tensor:
        """Return the sub-pixel convolution with the projected kernel."""
        reach = self.conv.kernel_size[0] // 2
        padding = reach
        if self.border == "replicate" and reach:
            x, padding = F.pad(x, (reach,) * (2 * self.spatial_dims), mode="replicate"), 0
        bias = None if self.bias is None else self.bias.repeat_interleave(self.scale**self.spatial_dims)
        y = filters.correlation(self.spatial_dims)(x, self.effective_weight(), bias, padding=padding)
        return shuffle(y, self.scale)

    def kernels(self) -> Iterator[Kernel]:
        """Yield the free kernel, with the one bias per channel."""
        yield Kernel(self.conv.weight, Layout("sub_pixel", (self.scale,) * self.spatial_dims), self.bias)

    def plain_convolution(self) -> nn.Module:
        """Return the convolution with the projected kernel and the bias of every phase."""
        conv: nn.Conv2d = nn.utils.skip_init(
            convolution(self.spatial_dims),
            *(self.in_channels, self.conv.out_channels, self.conv.kernel_size),
            padding=tuple(k // 2 for k in self.conv.kernel_size),
            bias=self.bias is not None,
            padding_mode=self.border,
            dtype=self.conv.weight.dtype,
            device=self.conv.weight.device,
        )
        with torch.no_grad():
            conv.weight.copy_(self.effective_weight())
            if conv.bias is not None and self.bias is not None:
                conv.bias.copy_(self.bias.repeat_interleave(self.scale**self.spatial_dims))
        return conv
