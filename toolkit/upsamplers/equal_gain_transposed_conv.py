"""Transposed convolution whose phase gains are equal whatever is learned, by projection of its kernel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from checkerscope.toolkit import checks, filters
from checkerscope.toolkit.contracts.upsampler import (
    Context,
    Kernel,
    Layout,
    TransposedModule,
    Upsampler,
    exact_padding,
    replication_pad,
    transposed_convolution,
)
from checkerscope.toolkit.filters import equal_gain_projection


class EqualGainTransposedConv(Upsampler):
    """A transposed convolution with the nearest kernel of equal phase gains, projected anew in every step.

    The learned kernel is free; what acts is its orthogonal projection, `effective_weight`. Order 0: the excess gain of
    phase p, G_p - g with g = sum(G_p / n_p) / sum(1 / n_p), is taken from its n_p taps in equal parts. Order d: zeros
    of multiplicity d + 1 at the alias frequencies. No cost once the projected kernel is stored in a plain layer.

    Args:
        order: d.
        kernel_size: Taps per axis, at least (d + 1) (s - 1) + 1; None for max(2, d + 1) s, or 3 at scale 1.
        bias: Whether a bias per output channel is learned.
        border: `zeros`, as in torch's layer, which leaves a grid in the border rows; or `replicate`, which does not.
    """

    label = "Equal-gain transposed"
    source = "this study"
    linear = True
    convex = False
    layouts = ("transposed",)
    enlarges_by = "transposed convolution"
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
        order = checks.integer("equal_gain_transposed_conv: order", order, minimum=0)
        default = max(2, order + 1) * scale if scale > 1 else 3
        k = checks.integer("equal_gain_transposed_conv: kernel_size", default if kernel_size is None else kernel_size)
        self.border = checks.choice("equal_gain_transposed_conv: border", border, filters.BORDERS)
        self.padding, self.output_padding = exact_padding(k, scale)
        projection = equal_gain_projection.transposed_projection((k,) * spatial_dims, (scale,) * spatial_dims, order)
        self.analysis, self.synthesis = filters.Constant(projection.analysis), filters.Constant(projection.synthesis)
        self.conv: TransposedModule = transposed_convolution(spatial_dims)(in_channels, out_channels, k, bias=bias)

    def effective_weight(self) -> Tensor:
        """Return the kernel that acts, (C_in, C_out, *k): the projection of the learned one."""
        flat = self.conv.weight.flatten(2)
        return (flat - flat @ self.analysis() @ self.synthesis()).reshape(self.conv.weight.shape)

    def upsample(self, x: Tensor, context: Context | None) -> Tensor:
        """Return the transposed convolution with the projected kernel."""
        reach = self._reach
        if reach:
            x = F.pad(x, (reach,) * (2 * self.spatial_dims), mode="replicate")
        crop = self.padding + self.scale * reach
        transposed = filters.transposed(self.spatial_dims)
        return transposed(x, self.effective_weight(), self.conv.bias, self.scale, crop, self.output_padding)

    def kernels(self) -> Iterator[Kernel]:
        """Yield the free kernel."""
        yield Kernel(self.conv.weight, Layout("transposed", (self.scale,) * self.spatial_dims), self.conv.bias)

    @property
    def _reach(self) -> int:
        return -(-self.padding // self.scale) if self.border == "replicate" else 0

    def plain_convolution(self) -> nn.Module:
        """Return the transposed convolution with the projected kernel, behind the padding that a border needs."""
        conv: nn.ConvTranspose2d = nn.utils.skip_init(
            transposed_convolution(self.spatial_dims),
            *(self.in_channels, self.out_channels, self.conv.kernel_size, self.scale),
            padding=self.padding + self.scale * self._reach,
            output_padding=self.output_padding,
            bias=self.conv.bias is not None,
            dtype=self.conv.weight.dtype,
            device=self.conv.weight.device,
        )
        with torch.no_grad():
            conv.weight.copy_(self.effective_weight())
            if conv.bias is not None and self.conv.bias is not None:
                conv.bias.copy_(self.conv.bias)
        return nn.Sequential(replication_pad(self._reach, self.spatial_dims), conv) if self._reach else conv
