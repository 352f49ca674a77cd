"""Exact rewrite: a transposed convolution that is a merged resize-convolution, taken apart again."""

from __future__ import annotations

from torch import nn

from checkerscope.toolkit import checks, parametrizations
from checkerscope.toolkit.remedies import _exchange, _kernels, _sites
from checkerscope.toolkit.remedies._kernels import Taps
from checkerscope.toolkit.remedies._site import TRANSPOSED

LABEL = "Transposed conv as nearest + conv"
SOURCE = "Odena 2016's resize-convolution, taken apart"
PROMISE = "exact"
APPLIES_TO = ("transposed convolution",)
#: A rewrite changes no output, so it is no cure of its own.
CURES = False
COST = "k^d weights instead of (k + s - 1)^d; slower on a CPU"

#: Relative distance of the kernel from box * h up to which it counts as equal: what float32 rounds.
TOLERANCE = 1e-5


def apply(module: nn.Module) -> nn.Module:
    """Return a copy of `module` in which every transposed convolution is a nearest resize and a convolution.

    The same map, border included. Possible only where the kernel is a convolution of s ones with another kernel, as
    `nearest_to_transposed` makes it.

    Args:
        module: Any module with transposed convolutions.

    Raises:
        ValueError: If there is no such layer, or a kernel is no convolution of s ones with another.
    """
    cured = parametrizations.copied(module, "transposed_to_nearest")
    for site in _sites.wanted(cured, "transposed_to_nearest", (TRANSPOSED,)):
        where = f"transposed_to_nearest: {site.path or site.kind}"
        new = _kernels.from_site(site, "transposed_to_nearest", lambda taps, where=where: _exact(taps, where))
        cured = _exchange.replaced(cured, site, new)
    return cured


def _exact(taps: Taps, where: str) -> nn.Module:
    new, error = _kernels.to_resize(taps)
    if error > TOLERANCE:
        got = f"a kernel {error:.0%} away from one"
        raise checks.mismatch(where, "a convolution of s ones with another kernel", got, "use resize_conv, then train")
    return new
