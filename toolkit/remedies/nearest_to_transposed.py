"""Exact rewrite: a nearest resize and its convolution as one transposed convolution."""

from __future__ import annotations

from torch import nn

from checkerscope.toolkit import parametrizations
from checkerscope.toolkit.remedies import _exchange, _kernels, _sites
from checkerscope.toolkit.remedies._site import RESIZE

LABEL = "Nearest + conv as transposed conv"
SOURCE = "Odena 2016's resize-convolution, merged"
PROMISE = "exact"
APPLIES_TO = ("nearest resize and convolution",)
#: A rewrite changes no output, so it is no cure of its own.
CURES = False
COST = "1.5 to 2 times faster on a CPU; (k + s - 1)^d weights instead of k^d"


def apply(module: nn.Module) -> nn.Module:
    """Return a copy of `module` in which every nearest resize with the convolution behind it is one layer.

    The same map, border included: stride s, k + s - 1 taps, the kernel reversed and convolved with s ones. Trained
    further it is free to become unclean.

    Args:
        module: Any module; `nn.Upsample` of mode nearest and whole factors, next to a convolution with zero padding.

    Raises:
        ValueError: If there is no such layer, or one has another output size than stride times its input.
    """
    cured = parametrizations.copied(module, "nearest_to_transposed")
    for site in _sites.wanted(cured, "nearest_to_transposed", (RESIZE,)):
        new = _kernels.from_site(site, "nearest_to_transposed", _kernels.to_transposed)
        cured = _exchange.replaced(cured, site, new)
    return cured
