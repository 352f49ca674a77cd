"""Exact rewrite: a sub-pixel convolution as one transposed convolution."""

from __future__ import annotations

from torch import nn

from checkerscope.toolkit import parametrizations
from checkerscope.toolkit.remedies import _exchange, _kernels, _sites
from checkerscope.toolkit.remedies._site import SUB_PIXEL

LABEL = "Sub-pixel as transposed conv"
SOURCE = "Shi 2016, arXiv:1609.07009"
PROMISE = "exact"
APPLIES_TO = ("sub-pixel shuffle",)
#: A rewrite changes no output, so it is no cure of its own.
CURES = False
COST = "none"


def apply(module: nn.Module) -> nn.Module:
    """Return a copy of `module` in which every convolution with its pixel shuffle is one transposed convolution.

    The same map, border included: stride s and s k taps. A bias that differs between phases, which a transposed
    convolution cannot have, becomes a layer of phase offsets behind it.

    Args:
        module: Any module; convolutions next to an `nn.PixelShuffle`, activations in between allowed.

    Raises:
        ValueError: If there is no such layer, or one has another output size than stride times its input.
    """
    cured = parametrizations.copied(module, "subpixel_to_transposed")
    for site in _sites.wanted(cured, "subpixel_to_transposed", (SUB_PIXEL,)):
        new = _kernels.from_site(site, "subpixel_to_transposed", _kernels.to_transposed)
        cured = _exchange.replaced(cured, site, new)
    return cured
