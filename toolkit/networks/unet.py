"""U-Net: the encoder's feature maps are joined to the decoder's at every resolution; only the upsampler varies."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from checkerscope.toolkit import checks
from checkerscope.toolkit.contracts.upsampler import Context, Factory, convolution
from checkerscope.toolkit.networks._stages import MAX_CHANNELS, widths


class UNet(nn.Module):
    """`depth` stages of (convolutions, pooling), a bottom, and `depth` stages of (upsampler, skip, convolutions).

    Stage i has `width * 2**i` channels, the bottom `width * 2**depth`. An upsampler takes the deeper stage's channels
    to its own stage's; ReLU; the skip is joined to it as further channels; convolutions halve them again. A 1x1
    convolution without activation gives the output. All convolutions are padded with zeros, so sizes match.

    Sides need not be multiples of the period: the far end of each axis is padded with the edge's value up to the next
    multiple, and the output is cropped back. The near corner stays where it is, so that a grid's phase is known.

    Encoder, merges and output are built before the upsamplers, so that under one seed they start with the same
    weights in every arm of a study.

    Differs from the source: padded convolutions (valid ones there, which crop every skip), no dropout, free width,
    depth and scale, any upsampler.

    Args:
        upsampler: Builds an upsampler from (in_channels, out_channels); everything else is already bound.
        image_channels: Channels of the input.
        out_channels: Channels of the output, such as classes; those of the input by default.
        width: Channels of the first stage.
        depth: Number of stages, up to 10; the accumulated stride is `scale ** depth`.
        convolutions: 3x3 convolutions per stage, each followed by a ReLU.
        scale: Factor of each stage, the same as the upsampler's.
        spatial_dims: 1, 2 or 3.
    """

    label = "U-Net"
    source = "Ronneberger 2015, arXiv:1505.04597"

    def __init__(
        self,
        upsampler: Factory,
        *,
        image_channels: int = 3,
        out_channels: int | None = None,
        width: int = 16,
        depth: int = 2,
        convolutions: int = 1,
        scale: int = 2,
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        self.image_channels = checks.integer("unet: image_channels", image_channels, maximum=MAX_CHANNELS)
        self.out_channels = checks.integer(
            "unet: out_channels", image_channels if out_channels is None else out_channels, maximum=MAX_CHANNELS
        )
        self.scale = checks.integer("unet: scale", scale, minimum=2)
        stages = widths("unet", width, depth=depth, scale=scale, bottom=1)
        self.depth = len(stages) - 1
        self.spatial_dims = checks.integer("unet: spatial_dims", spatial_dims)
        checks.integer("unet: convolutions", convolutions, maximum=100)
        pairs = list(pairwise([image_channels, *stages]))
        self.stages = nn.ModuleList(_block(i, o, convolutions, spatial_dims) for i, o in pairs[:-1])
        self.bottom = _block(*pairs[-1], convolutions, spatial_dims)
        # ordered as they run: the deepest stage first
        self.merges = nn.ModuleList(_block(2 * w, w, convolutions, spatial_dims) for w in stages[-2::-1])
        self.final = convolution(spatial_dims)(width, self.out_channels, 1)
        self.upsamplers = nn.ModuleList(upsampler(deep, own) for own, deep in reversed(list(pairwise(stages))))

    @property
    def period(self) -> int:
        """Accumulated stride of the decoder: the period of any grid that it can leave, in pixels."""
        return self.scale**self.depth

    def encode(self, images: Tensor) -> tuple[Tensor, list[Context]]:
        """Return the bottom's features and, per stage, the skip and pooling indices (shallow stage first).

        Raises:
            ValueError: If the images have another number of axes or channels.
        """
        if images.dim() != self.spatial_dims + 2 or images.shape[1] != self.image_channels:
            axes = ("d", "h", "w")[3 - self.spatial_dims :]
            checks.shape("unet: input", images, ("n", self.image_channels, *axes))
        pool = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[self.spatial_dims]
        x, contexts = self._pad(images), []
        for stage in self.stages:
            skip = stage(x)
            x, indices = pool(skip, self.scale, return_indices=True)
            contexts.append(Context(indices, skip))
        return self.bottom(x), contexts

    def decode(self, latents: Tensor, contexts: Sequence[Context] | None = None) -> Tensor:
        """Return the output at a multiple of the period.

        Args:
            latents: As given by `encode`.
            contexts: As given by `encode`, deepest stage last; None for skips of zeros, which shows what the decoder
                makes of the bottom alone. Upsamplers that need a context refuse that.

        Raises:
            ValueError: If a skip has another size than the upsampled map.
        """
        x = latents
        for i, (upsample, merge) in enumerate(zip(self.upsamplers, self.merges, strict=True)):
            context = contexts[self.depth - 1 - i] if contexts else None
            x = F.relu(upsample(x, context))
            skip = torch.zeros_like(x) if context is None else context.features
            if skip is None or skip.shape[2:] != x.shape[2:]:
                got = "none" if skip is None else tuple(skip.shape[2:])
                raise checks.mismatch("unet: skip", f"size {tuple(x.shape[2:])}", got, "pass what encode returned")
            x = merge(torch.cat([skip, x], dim=1))
        return self.final(x)

    def forward(self, images: Tensor) -> Tensor:
        """Return the output, (N, out_channels, *spatial), of the images' size."""
        output = self.decode(*self.encode(images))
        for axis, side in enumerate(images.shape[2:], start=2):
            output = output.narrow(axis, 0, side)
        return output

    def _pad(self, images: Tensor) -> Tensor:
        missing = [-side % self.period for side in images.shape[2:]]
        if not any(missing):
            return images
        return F.pad(images, [end for far in reversed(missing) for end in (0, far)], mode="replicate")


def _block(in_channels: int, out_channels: int, convolutions: int, spatial_dims: int) -> nn.Sequential:
    conv = convolution(spatial_dims)
    channels = [in_channels, *[out_channels] * convolutions]
    layers = [layer for i, o in pairwise(channels) for layer in (conv(i, o, 3, padding=1), nn.ReLU(inplace=True))]
    return nn.Sequential(*layers)
