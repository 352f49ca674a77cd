"""CARAFE: every output pixel is a mean over 5x5 source pixels whose weights are predicted from the source."""

from __future__ import annotations

from torch import Tensor, nn

from checkerscope.toolkit import checks
from checkerscope.toolkit.contracts.upsampler import Context, FixedUpsampler
from checkerscope.toolkit.upsamplers._reassembly import reassemble


class Carafe(FixedUpsampler):
    """1x1 compression, `encoder_size` convolution to k^2 s^2 channels, softmax over the k^2 taps, reassembly.

    The weights start almost equal, so that the layer starts as a box blur of `nearest`. They sum to one, so that
    constants stay flat inside; the map ends with zeros, so that the border is darker (0.36 in the corner at first).
    The predicting layers keep the paper's initialization. A bias-free 1x1 convolution comes first where C_in differs
    from C_out.

    Args:
        kernel_size: Odd side k of the neighbourhood.
        encoder_size: Odd side of the predicting convolution.
        compressed_channels: Channels that it sees.
    """

    label = "CARAFE"
    source = "Wang 2019, arXiv:1905.02188"
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
        kernel_size: int = 5,
        encoder_size: int = 3,
        compressed_channels: int = 64,
    ) -> None:
        super().__init__(in_channels, out_channels, scale=scale, spatial_dims=spatial_dims)
        self.kernel_size = checks.odd("carafe: kernel_size", kernel_size)
        k = checks.odd("carafe: encoder_size", encoder_size)
        middle = checks.integer("carafe: compressed_channels", compressed_channels)
        self.compress = nn.Conv2d(out_channels, middle, 1)
        self.encode = nn.Conv2d(middle, (kernel_size * scale) ** 2, k, padding=k // 2)
        nn.init.xavier_uniform_(self.compress.weight)
        nn.init.normal_(self.encode.weight, std=0.001)
        nn.init.zeros_(self.compress.bias)  # type: ignore[arg-type]
        nn.init.zeros_(self.encode.bias)  # type: ignore[arg-type]

    def weights(self, x: Tensor) -> Tensor:
        """Return the weights of all output pixels, (N, k^2, s^2, H, W); they sum to one over the second axis."""
        logits = self.encode(self.compress(x))
        return logits.unflatten(1, (self.kernel_size**2, self.scale**2)).softmax(1)

    def enlarge(self, x: Tensor, context: Context | None) -> Tensor:
        """Return the reassembled map."""
        return reassemble(x, self.weights(x), self.kernel_size, self.scale)
