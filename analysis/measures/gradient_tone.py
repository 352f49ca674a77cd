"""Gradient tone: the grid that an encoder's strides leave in the gradient of its input.

Responds to: unequal overlap in the *backward* pass of strided convolution or pooling; the forward upsamplers do
not matter.
Noise floor: cells with unlike gradients leave their scatter, 1 / (cells N), in `gradient_tone.mean`.
Ground truth: 0 for an encoder without stride; in expectation 1 - 1 / s^d for iid weights at stride s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from checkerscope.analysis import spectra
from checkerscope.analysis.lattice import Period
from checkerscope.analysis.phases import alternating_share, phase_means
from checkerscope.analysis.trial import Trial

LABEL = "Gradient tone"
SOURCE = "Odena et al. 2016, doi:10.23915/distill.00003, on checkerboards in gradients; this study for the AC fraction"
UNITS = {
    "gradient_tone.mean": "fraction of power",
    "gradient_tone.energy": "fraction of power",
}

#: Held-out images, and latent channels at most, whose gradients are taken.
IMAGES, CHANNELS = 16, 8


def gradient_tone(
    encode: Callable[[Tensor], Tensor], images: Tensor, period: Period, *, margin: int = 0
) -> tuple[float, float]:
    """Return the AC shares of the input gradient's mean and energy over phases, each 0 to 1.

    For each latent channel (8 at most) g is the gradient of its sum over positions with respect to the images.
    `mean` takes the phase means of g, averaged over images, `energy` those of g^2; both are
    sum_{q != 0} |DFT m|^2 / sum_q |DFT m|^2 with sums over latent and image channels.

    Args:
        encode: Maps (n, C, *spatial) to (n, C_latent, *low), differentiable.
        images: (N, C, *spatial), sides that the encoder accepts.
        period: Product of the encoder's strides; one number or one per axis.
        margin: Border to leave out, in pixels.

    Raises:
        ValueError: If the images are no batch, not finite, or too small for the margin.

    >>> encode = torch.nn.Conv2d(1, 1, 1, stride=2)
    >>> round(gradient_tone(encode, torch.rand(1, 1, 8, 8), 2)[0], 6)
    0.75
    """
    x = spectra.check_finite(spectra.check_images(images)).detach().requires_grad_()
    with torch.enable_grad():
        sums = encode(x).movedim(1, 0).flatten(1).sum(1)[:CHANNELS]
        gradients = [torch.autograd.grad(total, x, retain_graph=True)[0] for total in sums]
    inside = [spectra.interior(g, period, margin) for g in gradients]
    return _ac_share(inside, period), _ac_share([g.square() for g in inside], period)


def _ac_share(gradients: list[Tensor], period: Period) -> float:
    return alternating_share(torch.stack([phase_means(g, period).mean(0) for g in gradients]).flatten(2))


def measure(trial: Trial) -> dict[str, float]:
    """Return both shares for the trial's encoder on the first 16 held-out images."""
    model: Any = trial.model
    mean, energy = gradient_tone(lambda x: model.encode(x)[0], trial.inputs[:IMAGES], trial.period, margin=trial.margin)
    return {"gradient_tone.mean": mean, "gradient_tone.energy": energy}
