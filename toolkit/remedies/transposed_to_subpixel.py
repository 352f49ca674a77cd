"""Exact rewrite: a transposed convolution as a convolution and a pixel shuffle."""

from __future__ import annotations

from torch import nn

from checkerscope.toolkit import parametrizations
from checkerscope.toolkit.remedies import _exchange, _kernels, _sites
from checkerscope.toolkit.remedies._site import TRANSPOSED

LABEL = "Transposed conv as sub-pixel"
SOURCE = "Shi 2016, arXiv:1609.07009"
PROMISE = "exact"
APPLIES_TO = ("transposed convolution",)
#: A rewrite changes no output, so it is no cure of its own.
CURES = False
COST = "up to (2 r + 1)^d s^d weights, many of them zero"


def apply(module: nn.Module) -> nn.Module:
    """Return a copy of `module` in which every transposed convolution is a convolution and a pixel shuffle.

    The same map, border included; taps that a phase does not have are zeros.

    Args:
        module: Any module; transposed convolutions with equal strides on all axes.

    Raises:
        ValueError: If there is no such layer, or one has another output size than stride times its input.
    """
    cured = parametrizations.copied(module, "transposed_to_subpixel")
    for site in _sites.wanted(cured, "transposed_to_subpixel", (TRANSPOSED,)):
        new = _kernels.from_site(site, "transposed_to_subpixel", _kernels.to_sub_pixel)
        cured = _exchange.replaced(cured, site, new)
    return cured
