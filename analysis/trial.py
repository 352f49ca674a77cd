"""A trial: everything that a measure may see of one trained model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from checkerscope.toolkit.contracts.upsampler import Upsampler


@dataclass(frozen=True)
class Trial:
    """One model at one training step with held-out images.

    Attributes:
        model: The network in eval mode, with `encode(images) -> (latents, contexts)`, `decode(latents, contexts)`
            and `upsamplers` (the decoder's, in the order in which they run).
        target: What the model should make of held-out images, (N, C, *spatial): the images themselves, float32 in
            [0, 1], or one-hot classes.
        reconstruction: What it makes of them, of the shape of `target`: not clipped, or class probabilities.
        scale: Factor of one upsampler, s.
        period: Accumulated stride of the decoder, L, in pixels.
        margin: Width of the border that the padding may reach, in pixels; measures crop it.
        needs_context: The decoder sees encoder indices or features, so latents alone do not decode.
        shown: The images that the model was shown, (N, C_in, *spatial), where they are not the target.
    """

    model: nn.Module
    target: Tensor
    reconstruction: Tensor
    scale: int
    period: int
    margin: int
    needs_context: bool = False
    shown: Tensor | None = None

    @property
    def inputs(self) -> Tensor:
        """The images that the model was shown."""
        return self.target if self.shown is None else self.shown

    @property
    def residual(self) -> Tensor:
        """Reconstruction minus target."""
        return self.reconstruction - self.target

    @property
    def upsamplers(self) -> list[Upsampler]:
        """The decoder's upsamplers in the order in which they run."""
        return list(cast(Iterable[Upsampler], self.model.upsamplers))

    def constant(self, levels: tuple[float, ...], size: int) -> Tensor:
        """Return constant images, (len(levels), C, size, ...); arguments as `flat`."""
        spatial = (1,) * (self.inputs.dim() - 2)
        grey = torch.tensor(levels, dtype=self.inputs.dtype, device=self.inputs.device).reshape(-1, 1, *spatial)
        return grey.expand(-1, self.inputs.shape[1], *(size,) * len(spatial)).contiguous()

    def flat(self, levels: tuple[float, ...], size: int) -> Tensor:
        """Return what the model makes of constant images, (len(levels), C, size, ...).

        Args:
            levels: One grey level per image, in image units.
            size: Side in pixels, a multiple of the period.
        """
        with torch.no_grad():
            return self.model(self.constant(levels, size))

    @property
    def reach(self) -> int:
        """Whole periods that are cropped where images can be as large as one likes: twice the margin, eight at least.

        On a constant image the border is all there is to see beside the grid, so even its tail must be out.
        """
        return max(8, -(-2 * self.margin // self.period))

    def flat_interior(self, levels: tuple[float, ...], cells: int = 4) -> Tensor:
        """Return what the model makes of constant images, far from the border, (len(levels), C, cells * period, ...).

        What is left after the crop is exactly periodic, so a few periods are as good as many.
        """
        images = self.flat(levels, (cells + 2 * self.reach) * self.period)
        for axis in range(2, images.dim()):
            images = images.narrow(axis, self.reach * self.period, cells * self.period)
        return images
