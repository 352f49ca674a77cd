"""A fixed filter behind every learned enlargement of a module."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from torch import Tensor, nn

from checkerscope.toolkit import checks
from checkerscope.toolkit.remedies import _sites
from checkerscope.toolkit.remedies._layers import filter_module
from checkerscope.toolkit.remedies._sites import SUB_PIXEL, TRANSPOSED, Site

PLACES = ("all", "last")


def filtered(module: nn.Module, name: str, taps: Callable[[int], Tensor], places: str) -> nn.Module:
    """Return a copy of `module` with a depthwise filter behind its enlargements.

    Args:
        module: Any module.
        name: Of the remedy, for messages.
        taps: From a scale to the filter of one axis.
        places: "all" or only the "last" enlargement.

    Raises:
        ValueError: If nothing fits, or the strides of a layer differ between the axes.
    """
    checks.choice(f"{name}: places", places, PLACES)
    cured = _sites.copied(module, name)
    chosen = _sites.wanted(cured, name, (TRANSPOSED, SUB_PIXEL, *own_kinds(cured)))
    for site in chosen if places == "all" else chosen[-1:]:
        if len(set(site.strides)) > 1:
            raise checks.mismatch(f"{name}: {site.path}", "equal strides on all axes", site.strides)
        layer = filter_module(taps(site.strides[0]), _channels(site), len(site.strides))
        parameter = next(site.module.parameters())
        cured = _sites.after(cured, site, layer.to(parameter))
    return cured


def own_kinds(module: nn.Module) -> list[str]:
    """Return the class names of the catalogue's upsamplers in `module` whose gains can differ."""
    return [site.kind for site in _sites.find(module) if site.conv is None and site.parameters()]


def _channels(site: Site) -> int:
    if site.conv is None or site.is_ours:
        return int(site.module.out_channels)  # type: ignore[arg-type]
    return int(site.conv.out_channels) // (prod(site.strides) if site.kind == SUB_PIXEL else 1)
