"""A fixed filter behind every learned enlargement of a module, or behind its output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from checkerscope.toolkit import checks, parametrizations
from checkerscope.toolkit.remedies import _exchange, _running, _sites
from checkerscope.toolkit.remedies._calls import ASSIGNMENT
from checkerscope.toolkit.remedies._layers import AxisFilter, BehindOutput, filter_module
from checkerscope.toolkit.remedies._site import SUB_PIXEL, Site

PLACES = ("all", "last", "output")


def filtered(
    module: nn.Module,
    name: str,
    taps: Callable[[int], Tensor],
    *,
    places: str = "all",
    period: int | Sequence[int] | None = None,
    example: Any = None,
) -> nn.Module:
    """Return a copy of `module` with a filter behind its enlargements.

    Args:
        module: Any module.
        name: Of the remedy, for messages.
        taps: From a scale to the filter of one axis.
        places: "all" enlargements, only the "last", or the "output" of the whole.
        period: Of the grid in the output, for all axes or one each; by default the product of the strides.
        example: Of the module's input.

    Raises:
        ValueError: If nothing fits, or the strides of a layer differ between the axes.
    """
    checks.choice(f"{name}: places", places, PLACES)
    cured = parametrizations.copied(module, name)
    example = _running.example_of(cured, example)
    if places != "output" or period is None:
        _running.check_python(cured, name)
    if places == "output":
        return _behind_output(cured, name, taps, period, example)
    if period is not None:
        raise checks.mismatch(f"{name}: period", "places=output with a period", f"places={places}")
    sites = [site for site in _sites.find(cured, example) if site.call is not None or site.parameters()]
    if not sites:
        _sites.learned(cured, name, example)  # says what there is
    partners = {site.partner or site.name: site for site in sites}  # one shuffle may serve several convolutions
    for site in partners.values() if places == "all" else sites[-1:]:
        cured = _exchange.after(cured, site, _filter(site, name, taps))
    return cured


def _filter(site: Site, name: str, taps: Callable[[int], Tensor]) -> nn.Module:
    if site.kind == ASSIGNMENT:
        raise checks.mismatch(
            f"{name}: {site.name}", "a call that returns the map", "an assignment", "use places=output"
        )
    if site.call is not None:
        return _axis_filter(site.strides, taps)
    if len(set(site.strides)) > 1:
        raise checks.mismatch(f"{name}: {site.name}", "equal strides on all axes", site.strides)
    layer = filter_module(taps(site.strides[0]), _channels(site), len(site.strides))
    return layer.to(next(site.module.parameters()))


def _axis_filter(lengths: Sequence[int], taps: Callable[[int], Tensor]) -> AxisFilter:
    return AxisFilter([taps(length) if length > 1 else torch.ones(1) for length in lengths])


def _behind_output(
    cured: nn.Module, name: str, taps: Callable[[int], Tensor], period: int | Sequence[int] | None, example: Any
) -> nn.Module:
    lengths = _sites.period(_sites.find(cured, example)) if period is None else period
    if isinstance(lengths, int):
        dims = _running.spatial_axes(cured, name, example)
        lengths = (lengths,) * dims
    if not lengths or max(lengths) < 2:
        expected = "the period of the grid"
        raise checks.mismatch(f"{name}: period", expected, "no enlargement to tell it", "see: checkerscope audit")
    whole = [checks.integer(f"{name}: period", length) for length in lengths]
    return BehindOutput(cured, _axis_filter(whole, taps)).train(cured.training)


def _channels(site: Site) -> int:
    if site.conv is None or site.is_ours:
        return int(site.module.out_channels)  # type: ignore[arg-type]
    return int(site.conv.out_channels) // (prod(site.strides) if site.kind == SUB_PIXEL else 1)
