"""DySample: bilinear sampling at positions that are predicted from the source."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from checkerscope.toolkit import checks
from checkerscope.toolkit.contracts.upsampler import Context, FixedUpsampler, shuffle


class DySample(FixedUpsampler):
    """y[j] = x((j + 1/2) / s - 1/2 + o[j]), interpolated linearly, clamped at the border.

    The offsets o are 0.25 times a 1x1 convolution of the source, or, with `dynamic_scope`, 0.5 sigmoid of another
    one times it. They start near zero, so that the layer starts as `bilinear`. Interpolation weights sum to one, so
    that constants stay flat at all times. The predicting layers keep the paper's initialization. A bias-free 1x1
    convolution comes first where C_in differs from C_out.

    Args:
        style: `lp` predicts the offsets of all phases at low resolution; `pl` moves the channels into space first,
            which needs C_out to be a multiple of s^2 and has s^4 times fewer parameters.
        groups: Channel groups with offsets of their own; None for the largest of 4, 3, 2, 1 that divides C_out.
        dynamic_scope: Whether the range of the offsets is predicted too.
    """

    label = "DySample"
    source = "Liu 2023, arXiv:2308.15085"
    linear = False
    convex = True
    layouts = ("conv",)
    dims = (2,)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        scale: int = 2,
        spatial_dims: int = 2,
        style: Literal["lp", "pl"] = "lp",
        groups: int | None = None,
        dynamic_scope: bool = False,
    ) -> None:
        super().__init__(in_channels, out_channels, scale=scale, spatial_dims=spatial_dims)
        self.style = checks.choice("dysample: style", style, ("lp", "pl"))
        largest = next(g for g in (4, 3, 2, 1) if out_channels % g == 0)
        self.groups = largest if groups is None else checks.integer("dysample: groups", groups)
        if out_channels % self.groups:
            raise checks.mismatch("dysample: groups", f"a divisor of {out_channels}", groups, f"use {largest}")
        phases = scale**2
        if style == "pl" and out_channels % phases:
            near = max(1, round(out_channels / phases)) * phases
            fix = f"use style='lp' or {near} channels"
            raise checks.mismatch("dysample: out_channels", f"a multiple of {phases} for style 'pl'", out_channels, fix)
        inputs = out_channels // phases if style == "pl" else out_channels
        outputs = 2 * self.groups * (1 if style == "pl" else phases)
        self.offset = nn.Conv2d(inputs, outputs, 1)
        nn.init.normal_(self.offset.weight, std=0.001)
        nn.init.zeros_(self.offset.bias)  # type: ignore[arg-type]
        self.scope = nn.Conv2d(inputs, outputs, 1, bias=False) if dynamic_scope else None
        if self.scope is not None:
            nn.init.zeros_(self.scope.weight)

    def offsets(self, x: Tensor) -> Tensor:
        """Return o in source pixels, (N, 2, g, s H, s W), the first of the two along the last axis."""
        source = shuffle(x, self.scale) if self.style == "pl" else x
        scope = 0.25 if self.scope is None else 0.5 * self.scope(source).sigmoid()
        found = self.offset(source) * scope
        found = shuffle(found, self.scale) if self.style == "lp" else found
        return found.unflatten(1, (2, self.groups))

    def enlarge(self, x: Tensor, context: Context | None) -> Tensor:
        """Return the sampled map."""
        n, c, h, w = x.shape
        # no tensor comes from the host: in every step of training it would wait for the device
        places = [torch.arange(self.scale * side, dtype=x.dtype, device=x.device) for side in (h, w)]
        rows, columns = ((place + 0.5) / self.scale for place in places)
        base = torch.stack(torch.meshgrid(columns, rows, indexing="xy"))  # 2 sh sw, x before y
        position = base[:, None] + self.offsets(x)
        grid = torch.stack([2 * position[:, 0] / w, 2 * position[:, 1] / h], dim=1) - 1
        grid = grid.permute(0, 2, 3, 4, 1).flatten(0, 1)  # (n g) sh sw 2
        grouped = x.reshape(n * self.groups, c // self.groups, h, w)
        y = F.grid_sample(grouped, grid, mode="bilinear", padding_mode="border", align_corners=False)
        return y.reshape(n, c, self.scale * h, self.scale * w)
