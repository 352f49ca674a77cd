"""FADE: reassembly with weights from source and encoder features, which it also lets through by a gate."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from checkerscope.toolkit import checks
from checkerscope.toolkit.contracts.upsampler import Context, FixedUpsampler
from checkerscope.toolkit.upsamplers._reassembly import by_phase, guide_of, reassemble


class Fade(FixedUpsampler):
    """y = G f + (1 - G) r: f the encoder's features, r the reassembled source, G a sigmoid of a 1x1 convolution.

    The weights of r are a softmax over k^2 taps of E(a f) + nearest(E(b x)): one 3x3 convolution E on both, each
    compressed by a 1x1 convolution (semi-shift convolution). They sum to one, but G lets encoder features pass, whose
    grid, if any, is not the upsampler's. The predicting layers keep the paper's initialization. Bias-free 1x1
    convolutions come first where C_in, and before the gate where `guide_channels`, differs from C_out.

    Args:
        kernel_size: Odd side k of the neighbourhood.
        embedding: Channels that E sees.
        gated: Whether encoder features pass; without, the output is r.
        guide_channels: Channels of the encoder's feature map; None for C_out.
    """

    label = "FADE"
    source = "Lu 2022, arXiv:2207.10392"
    linear = False
    convex = False
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
        gated: bool = True,
        guide_channels: int | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, scale=scale, spatial_dims=spatial_dims)
        self.kernel_size = checks.odd("fade: kernel_size", kernel_size)
        width = checks.integer("fade: embedding", embedding)
        given = out_channels if guide_channels is None else guide_channels
        self.guide_channels = checks.integer("fade: guide_channels", given)
        self.compress_guide = nn.Conv2d(self.guide_channels, width, 1)
        self.compress_source = nn.Conv2d(out_channels, width, 1, bias=False)
        self.encode = nn.Conv2d(width, kernel_size**2, 3, padding=1)
        self.gate = nn.Conv2d(out_channels, 1, 1) if gated else None
        same = self.guide_channels == out_channels or not gated
        self.align = None if same else nn.Conv2d(self.guide_channels, out_channels, 1, bias=False)
        for layer in (self.compress_guide, self.compress_source, self.encode, self.gate, self.align):
            if layer is not None:
                nn.init.xavier_uniform_(layer.weight)
            if layer is not None and layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def weights(self, x: Tensor, guide: Tensor) -> Tensor:
        """Return the weights of all output pixels, (N, k^2, s^2, H, W); they sum to one over the second axis."""
        high = by_phase(self.encode(self.compress_guide(guide)), self.scale)
        low = self.encode(self.compress_source(x))
        return (high + low[:, :, None]).softmax(1)

    def enlarge(self, x: Tensor, context: Context | None) -> Tensor:
        """Return the gated mixture.

        Raises:
            ValueError: If the features are missing or have another shape than the output.
        """
        guide = guide_of("fade", context, self.guide_channels, x, self.scale)
        y = reassemble(x, self.weights(x, guide), self.kernel_size, self.scale)
        if self.gate is None:
            return y
        gate = F.interpolate(self.gate(x).sigmoid(), scale_factor=self.scale, mode="nearest")
        passed = guide if self.align is None else self.align(guide)
        return gate * passed + (1 - gate) * y
