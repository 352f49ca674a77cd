"""Spread of phase gains: how uneven one upsampler answers a constant, from its weights alone.

Responds to: the condition for tone; to nothing else, no image is looked at. A convolution behind the layer may still
hide what it makes.
Noise floor: rounding, about 1e-30.
Ground truth: 0 for every convex upsampler and every equal-gain parametrization; in expectation 1 - 1 / s^d for iid
weights of zero mean.
"""

from __future__ import annotations

from math import nan

from torch import nn

from checkerscope.analysis.phases import alternating_share
from checkerscope.analysis.trial import Trial
from checkerscope.toolkit.contracts.upsampler import Upsampler
from checkerscope.toolkit.response import phase_gains

LABEL = "Phase gain"
SOURCE = "Sugawara, Shiota and Kiya 2018; this study for the AC fraction"
UNITS = {
    "phase_gain.first": "fraction of energy",
    "phase_gain.last": "fraction of energy",
    "phase_gain.largest": "fraction of energy",
}


def phase_gain(upsampler: nn.Module) -> float:
    """Return the AC share of the phase gains' energy over all channel pairs, 0 to 1; 0.0 if every gain is zero.

    sum (G_p - mean_p G)^2 / sum G_p^2, which is sum_{m != 0} |H(2 pi m / s)|^2 / sum_m |H(2 pi m / s)|^2.

    Args:
        upsampler: A linear upsampler (`toolkit.response.linear.phase_gains` says what that takes).

    Raises:
        ValueError: If it is not linear, or needs the encoder's context.

    >>> from checkerscope.toolkit.upsamplers.bilinear import Bilinear
    >>> phase_gain(Bilinear(1, 1))
    0.0
    """
    return alternating_share(phase_gains(upsampler).flatten(2))


def measure(trial: Trial) -> dict[str, float]:
    """Return the spread of the first and last upsampler and the largest of all; NaN where a layer is not linear."""
    spreads = [_layer(upsampler) for upsampler in trial.upsamplers]
    known = [spread for spread in spreads if spread == spread]  # NaN differs from itself
    return {
        "phase_gain.first": spreads[0],
        "phase_gain.last": spreads[-1],
        "phase_gain.largest": max(known) if known else nan,
    }


def _layer(upsampler: Upsampler) -> float:
    return phase_gain(upsampler) if upsampler.linear and not upsampler.needs_context else nan
