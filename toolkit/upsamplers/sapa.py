"""SAPA: every output pixel is a mean over 5x5 source pixels, weighted by their similarity to the encoder's pixel."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from checkerscope.toolkit import checks
from checkerscope.toolkit.contracts.upsampler import Context, FixedUpsampler
from checkerscope.toolkit.upsamplers._reassembly import by_phase, guide_of, reassemble


class Sapa(FixedUpsampler):
    """Weights softmax over n of q(y[j]) . k(x[floor(j / s) + n]); y the encoder's features, x the source.

    q and k are channel normalisation and a linear map to `embedding` channels (SAPA-B). Weights sum to one, so that
    constants stay flat inside; beyond the border values and similarities are zero, as in the paper's code. The
    predicting layers keep its initialization. A bias-free 1x1 convolution comes first where C_in differs from C_out.

    Args:
        kernel_size: Odd side of the neighbourhood.
        embedding: Channels in which similarity is taken.
        guide_channels: Channels of the encoder's feature map; None for C_out.
    """

    label = "SAPA"
    source = "Lu 2022, arXiv:2209.12866"
    linear = False
    convex = True
    layouts = ("conv",)
    dims = (2,)
    needs_context = "features"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        scale: int = 2,
        spatial_dims: int = 2,
        kernel_size: int = 5,
        embedding: int = 64,
        guide_channels: int | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, scale=scale, spatial_dims=spatial_dims)
        self.kernel_size = checks.odd("sapa: kernel_size", kernel_size)
        width = checks.integer("sapa: embedding", embedding)
        given = out_channels if guide_channels is None else guide_channels
        self.guide_channels = checks.integer("sapa: guide_channels", given)
        self.norm_query = nn.LayerNorm(self.guide_channels)
        self.norm_key = nn.LayerNorm(out_channels)
        self.query = nn.Linear(self.guide_channels, width)
        self.key = nn.Linear(out_channels, width)
        for linear in (self.query, self.key):
            nn.init.trunc_normal_(linear.weight, std=0.02)
            nn.init.zeros_(linear.bias)

    def weights(self, x: Tensor, guide: Tensor) -> Tensor:
        """Return the weights of all output pixels, (N, k^2, s^2, H, W); they sum to one over the second axis."""
        n, _, h, w = x.shape
        query = by_phase(self.query(self.norm_query(guide.movedim(1, -1))).movedim(-1, 1), self.scale)
        key = self.key(self.norm_key(x.movedim(1, -1))).movedim(-1, 1)
        near = F.unfold(key, self.kernel_size, padding=self.kernel_size // 2).reshape(n, key.shape[1], -1, h, w)
        # n location: (phases, embedding) @ (embedding, taps)
        scores = query.permute(0, 3, 4, 2, 1) @ near.permute(0, 3, 4, 1, 2)
        return scores.softmax(-1).permute(0, 4, 3, 1, 2)

    def enlarge(self, x: Tensor, context: Context | None) -> Tensor:
        """Return the reassembled map.

        Raises:
            ValueError: If the features are missing or have another shape than the output.
        """
        guide = guide_of("sapa", context, self.guide_channels, x, self.scale)
        return reassemble(x, self.weights(x, guide), self.kernel_size, self.scale)
