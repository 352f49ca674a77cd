"""Sizes and overlap of (transposed) convolutions, by arithmetic: one axis, one network, and a plain reference.

Imports `checks` and the contracts only; nothing here trains or measures.
"""

from checkerscope.toolkit.geometry.axis import MOST_TAPS, Axis, convolution_size, solve

__all__ = ["MOST_TAPS", "Axis", "convolution_size", "solve"]
