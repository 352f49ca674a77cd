"""Bilinear additive enlargement: every four consecutive channels are added, then enlarged."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from checkerscope.toolkit.contracts.upsampler import Context, FixedUpsampler


class BilinearAdditive(FixedUpsampler):
    """y[c] = bilinear(x[4 c] + x[4 c + 1] + x[4 c + 2] + x[4 c + 3]).

    The paper enlarges first; the sum commutes and costs a quarter this way. A bias-free 1x1 convolution comes first
    unless C_in is 4 C_out. Defined for scale 2 and images; the 3-D case follows NiftyNet's layer, also four channels.
    """

    label = "Bilinear additive"
    source = "Wojna 2017, arXiv:1707.05847"
    linear = True
    convex = False
    layouts = ("conv",)
    scales = (2,)
    dims = (2, 3)

    def merged_channels(self) -> int:
        """Return how many channels are added."""
        return 4

    def enlarge(self, x: Tensor, context: Context | None) -> Tensor:
        """Return the linear interpolation of the sums."""
        mode = {2: "bilinear", 3: "trilinear"}[self.spatial_dims]
        return F.interpolate(x.unflatten(1, (-1, 4)).sum(2), scale_factor=2, mode=mode, align_corners=False)
