"""Changing a copy of a module: a layer in the place of another, or behind it, or behind a call in its `forward`."""

from __future__ import annotations

from torch import nn

from checkerscope.toolkit.contracts.upsampler import Upsampler
from checkerscope.toolkit.remedies._layers import Behind, BehindCalls, Cured
from checkerscope.toolkit.remedies._site import SUB_PIXEL, Site


def replaced(model: nn.Module, site: Site, new: nn.Module) -> nn.Module:
    """Put `new` in the place of a site of `model`, its shuffle or resize included; return the model, changed."""
    if isinstance(site.module, Upsampler):
        new = Cured(site.module, new)
    if site.partner:
        _put(model, site.partner, nn.Identity())
    return _put(model, site.path, new.train(site.module.training))


def after(model: nn.Module, site: Site, layer: nn.Module) -> nn.Module:
    """Put `layer` behind a site of `model`; return the model, changed."""
    if site.call is not None:
        place = site.call.place
        inner = model.get_submodule(place.path)
        if isinstance(inner, BehindCalls):
            inner.add(place.function, place.ordinal, layer)
            return model
        wrapped = BehindCalls(inner).train(inner.training)
        wrapped.add(place.function, place.ordinal, layer)
        return _put(model, place.path, wrapped)
    if site.kind == SUB_PIXEL and site.partner:
        return _put(model, site.partner, Behind(model.get_submodule(site.partner), layer))
    if isinstance(site.module, Upsampler):
        return _put(model, site.path, Cured(site.module, nn.Sequential(site.module, layer)))
    return _put(model, site.path, Behind(site.module, layer))


def _put(model: nn.Module, path: str, new: nn.Module) -> nn.Module:
    if not path:
        return new
    model.set_submodule(path, new)
    return model
