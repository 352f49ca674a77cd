"""Linear, bilinear or trilinear enlargement, with pixels as areas (align_corners=False)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from checkerscope.toolkit.contracts.upsampler import Context, FixedUpsampler


class Bilinear(FixedUpsampler):
    """y[j] is the linear interpolation of x at (j + 0.5) / s - 0.5, clamped to the map at the border.

    Inside, the taps are a triangle of 2 s - s % 2 values that sum to s ([1, 3, 3, 1] / 4 at s = 2), with a double zero
    at every alias frequency. The other convention, align_corners=True, has no fixed phases and is left out.
    """

    label = "Bilinear"
    source = "textbook (first-order hold)"
    linear = True
    convex = True
    layouts = ("conv",)

    def enlarge(self, x: Tensor, context: Context | None) -> Tensor:
        """Return the linear interpolation."""
        mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[self.spatial_dims]
        return F.interpolate(x, scale_factor=self.scale, mode=mode, align_corners=False)
