"""The study's network: a small convolutional autoencoder in which only the upsampler varies."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from checkerscope.toolkit import checks
from checkerscope.toolkit.contracts.upsampler import Context, Factory, convolution
from checkerscope.toolkit.networks._stages import MAX_CHANNELS, widths

LABEL = "Autoencoder"
SOURCE = "this study"

DOWNSAMPLING = ("max_pool", "strided")


class Autoencoder(nn.Module):
    """Encoder of `depth` (convolution, ReLU, downsampling) stages; decoder of `depth` (upsampler, ReLU) stages.

    Stage i has `width * 2**i` channels. The encoder and the final convolution are built before the upsamplers, so
    that under one seed they start with the same weights in every arm of a study.

    Args:
        upsampler: Builds an upsampler from (in_channels, out_channels); everything else is already bound.
        image_channels: Channels of the image.
        width: Channels of the first stage.
        depth: Number of stages, up to 10; the accumulated stride is `scale ** depth`.
        latent_channels: Channels of the bottleneck.
        scale: Factor of each stage, the same as the upsampler's.
        final_conv: Whether a 3x3 convolution follows the last upsampler, which then yields `width` channels;
            without it the last upsampler yields the image itself.
        downsampling: `max_pool` (convolution, ReLU, max-pooling) or `strided` (strided convolution, ReLU).
        spatial_dims: 1, 2 or 3.
    """

    def __init__(
        self,
        upsampler: Factory,
        *,
        image_channels: int = 3,
        width: int = 16,
        depth: int = 2,
        latent_channels: int = 16,
        scale: int = 2,
        final_conv: bool = True,
        downsampling: Literal["max_pool", "strided"] = "max_pool",
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        self.image_channels = checks.integer("autoencoder: image_channels", image_channels, maximum=MAX_CHANNELS)
        self.scale = checks.integer("autoencoder: scale", scale, minimum=2)
        stages = widths("autoencoder", width, depth=depth, scale=scale)
        self.depth = len(stages)
        self.downsampling = checks.choice("autoencoder: downsampling", downsampling, DOWNSAMPLING)
        self.spatial_dims = checks.choice("autoencoder: spatial_dims", spatial_dims, (1, 2, 3))
        checks.integer("autoencoder: latent_channels", latent_channels, maximum=MAX_CHANNELS)
        conv = convolution(spatial_dims)
        stride = scale if downsampling == "strided" else 1
        pairs = zip([image_channels, *stages], stages, strict=False)
        self.stages = nn.ModuleList(conv(c_in, c_out, 3, stride=stride, padding=1) for c_in, c_out in pairs)
        self.bottleneck = conv(stages[-1], latent_channels, 3, padding=1)
        self.final = conv(width, image_channels, 3, padding=1) if final_conv else nn.Identity()
        outputs = [stages[0] if final_conv else image_channels, *stages[1:]]
        chain = [*outputs, latent_channels]
        # ordered as they run: the deepest stage first
        self.upsamplers = nn.ModuleList(upsampler(chain[i + 1], chain[i]) for i in reversed(range(depth)))

    @property
    def period(self) -> int:
        """Accumulated stride of the decoder: the period of any grid that it can leave, in pixels."""
        return self.scale**self.depth

    def encode(self, images: Tensor) -> tuple[Tensor, list[Context]]:
        """Return the latents and, per stage, what an upsampler with context needs (shallow stage first), if one does.

        Raises:
            ValueError: If the images have another number of channels or a side that is no multiple of the period.
        """
        self._check(images)
        x, contexts = images, []
        wanted = any(getattr(upsampler, "needs_context", True) for upsampler in self.upsamplers)
        for stage in self.stages:
            features, context = stage(x), Context()
            if self.downsampling == "strided":
                x = F.relu(features)
            elif wanted:
                features = F.relu(features)
                x, indices = self._pool(features)
                context = Context(indices, features)
            else:  # the maximum first: the same numbers, and ReLU has a fraction of them to do
                x = F.relu(self._pool(features)[0])
            contexts.append(context)
        return self.bottleneck(x), contexts

    def decode(self, latents: Tensor, contexts: list[Context] | None = None) -> Tensor:
        """Return images from latents; `contexts` as given by `encode`, deepest stage last."""
        x = latents
        last = len(self.upsamplers) - 1
        final_conv = not isinstance(self.final, nn.Identity)
        for i, upsample in enumerate(self.upsamplers):
            x = upsample(x, contexts[last - i] if contexts else None)
            if i < last or final_conv:
                x = F.relu(x)
        return self.final(x)

    def forward(self, images: Tensor) -> Tensor:
        """Return the reconstruction, of the shape of `images`."""
        return self.decode(*self.encode(images))

    def _pool(self, x: Tensor) -> tuple[Tensor, Tensor]:
        pool = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[self.spatial_dims]
        return pool(x, self.scale, return_indices=True)

    def _check(self, images: Tensor) -> None:
        sides = images.shape[2:]
        if images.dim() != self.spatial_dims + 2 or images.shape[1] != self.image_channels:
            axes = ("d", "h", "w")[3 - self.spatial_dims :]
            checks.shape("autoencoder: input", images, ("n", self.image_channels, *axes))
        if any(side % self.period for side in sides):
            near = tuple(max(self.period, round(side / self.period) * self.period) for side in sides)
            raise checks.mismatch(
                "autoencoder: input",
                f"sides that are multiples of {self.period}",
                tuple(sides),
                f"crop or pad to {near}",
            )
