"""What an upsampler does to any input, exactly: phase gains, phase kernels, alias gains.

Measured by impulses in float64 for linear upsamplers, by the derivative at an input for content-dependent ones.
"""

from checkerscope.toolkit.response.linear import (
    PredictedPower,
    alias_gains,
    phase_energies,
    phase_gains,
    phase_kernels,
    phase_offsets,
    predicted_power,
    to_transposed_conv,
    tone_fraction,
)
from checkerscope.toolkit.response.local import jacobian_vector, phase_gains_at, vector_jacobian

__all__ = [
    "PredictedPower",
    "alias_gains",
    "jacobian_vector",
    "phase_energies",
    "phase_gains",
    "phase_gains_at",
    "phase_kernels",
    "phase_offsets",
    "predicted_power",
    "to_transposed_conv",
    "tone_fraction",
    "vector_jacobian",
]
