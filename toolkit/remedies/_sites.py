"""Where a module enlarges: its layers by their class, and calls in its `forward` by data flow on an example."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import torch
from torch import nn

from checkerscope.toolkit import checks
from checkerscope.toolkit.contracts.upsampler import Upsampler
from checkerscope.toolkit.remedies import _running
from checkerscope.toolkit.remedies._calls import TOLERANCE, Enlargement
from checkerscope.toolkit.remedies._flow import Flow
from checkerscope.toolkit.remedies._running import CONVOLUTIONS, TRANSPOSED_CONVOLUTIONS
from checkerscope.toolkit.remedies._site import RESIZE, SUB_PIXEL, TRANSPOSED, Site

RESIZES = (nn.Upsample, nn.UpsamplingNearest2d)
#: They act value by value, so they commute with whatever moves or repeats values.
POINTWISE = (
    *(nn.Identity, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish),
    *(nn.Sigmoid, nn.Tanh, nn.Hardswish, nn.Hardtanh, nn.Softplus),
)
#: Relative difference of phase gains that rounding leaves in half precision.
COARSE = 0.05


def find(model: nn.Module, example: Any = None) -> list[Site]:
    """Return every place of `model` that enlarges by strides above 1 and can have unequal phase gains, or is a resize.

    With an example the calls are followed: in the order of the run, a functional shuffle or transposed convolution as
    well as a layer, each with the parameter behind its kernel. Without one only layers are found, by their class; a
    convolution then belongs to the shuffle or resize that is registered next to it, activations aside.
    """
    layers = {site.path: site for site in _layers(model, example)}
    if example is None or isinstance(model, Upsampler):
        return list(layers.values())
    paths = {id(module): path for path, module in model.named_modules()}
    sites: dict[Any, Site] = {}
    for found in _followed(model, example):
        site = layers.get(found) if isinstance(found, str) else _of_call(model, found, paths)
        if site is not None:
            sites.setdefault(_identity(site), site)
    partners = {site.partner if site.call is None else site.call.place.path for site in sites.values()} - {""}
    # a map of one pixel does not show its shuffle, and a resize is no concern of the flow
    missed = [site for site in layers.values() if site.path not in sites and site.partner not in partners]
    return [*sites.values(), *(site for site in missed if site.kind in (SUB_PIXEL, RESIZE))]


def _followed(model: nn.Module, example: Any) -> list[Enlargement | str]:
    flow = Flow(model, opaque=(Upsampler,))
    args, kwargs = _running.arguments(example)
    with _running.evaluating(model):
        flow.run(args, kwargs)
    return flow.found


def _identity(site: Site) -> Any:
    if site.call is None:
        return site.path
    place = site.call.place
    return place.path, place.function, place.ordinal


def _of_call(model: nn.Module, found: Enlargement, paths: dict[int, str]) -> Site | None:
    """Return the layer that made a call, the call itself where no layer of torch did, None where it leaves no grid."""
    maker, place = found.maker, found.place
    layer, partner = model.get_submodule(maker.path), model.get_submodule(place.path)
    if found.order is None and isinstance(layer, TRANSPOSED_CONVOLUTIONS):
        return Site(maker.path, TRANSPOSED, layer, tuple(layer.stride), layer)
    is_pair = isinstance(layer, CONVOLUTIONS) and isinstance(partner, nn.PixelShuffle) and maker.kernel is not None
    if is_pair and found.order is not None and found.order.numel() == len(found.order.unique()):
        return Site(maker.path, SUB_PIXEL, layer, found.strides, layer, place.path)
    kind = {"shuffle": SUB_PIXEL}.get(found.operator, found.operator)
    owner = None if maker.kernel is None else maker.kernel.owner
    path = paths.get(id(owner), place.path)
    site = Site(path, kind, model.get_submodule(path), found.strides, call=found)
    return None if found.has_no_grid and not site.parameters() else site


def _layers(model: nn.Module, example: Any) -> list[Site]:
    """Return the layers that enlarge, by their class; pairs are next to each other."""
    order = _running.leaves(model) if example is None else _running.executed(model, example)
    sites: dict[str, Site] = {}
    before: tuple[str, nn.Module] | None = None
    for path, leaf in order:
        for site in _sites_of(path, leaf, before):
            sites.setdefault(site.path, site)
        if not isinstance(leaf, POINTWISE):
            before = (path, leaf)
    return list(sites.values())


def _sites_of(path: str, leaf: nn.Module, before: tuple[str, nn.Module] | None) -> Iterator[Site]:
    if isinstance(leaf, Upsampler):
        yield from _own(path, leaf)
    elif isinstance(leaf, TRANSPOSED_CONVOLUTIONS) and max(leaf.stride) > 1:
        yield Site(path, TRANSPOSED, leaf, tuple(leaf.stride), leaf)
    elif before is None:
        return
    elif isinstance(leaf, nn.PixelShuffle) and isinstance(before[1], nn.Conv2d):
        factor = leaf.upscale_factor
        if before[1].out_channels % factor**2 == 0:
            yield Site(before[0], SUB_PIXEL, before[1], (factor, factor), before[1], path)
    elif isinstance(leaf, CONVOLUTIONS) and isinstance(before[1], RESIZES):
        factors = _nearest_factors(before[1], len(leaf.kernel_size))
        if factors:
            yield Site(path, RESIZE, leaf, factors, leaf, before[0])


def _own(path: str, leaf: Upsampler) -> Iterator[Site]:
    strides = (leaf.scale,) * leaf.spatial_dims
    if leaf.scale == 1 or leaf.needs_context:
        return
    if leaf.enlarges_by in (TRANSPOSED, SUB_PIXEL, RESIZE) and not leaf.has_equal_gains:
        yield Site(path, leaf.enlarges_by, leaf, strides, leaf.plain_convolution())
    else:
        yield Site(path, type(leaf).__name__, leaf, strides)


def _nearest_factors(resize: Any, dims: int) -> tuple[int, ...]:
    if resize.mode not in ("nearest", "nearest-exact") or resize.scale_factor is None:
        return ()
    given = resize.scale_factor if isinstance(resize.scale_factor, tuple) else (resize.scale_factor,) * dims
    whole = all(float(factor).is_integer() for factor in given) and max(given) > 1
    return tuple(int(factor) for factor in given) if whole else ()


def before_the_first(model: nn.Module, example: Any) -> list[nn.Module]:
    """Return the leaves of `model` that run before its first learned enlargement, and not after it."""
    sites = find(model, example)
    order = _running.executed(model, example)
    first = next((i for i, (path, _) in enumerate(order) if any(_is_at(path, site.path) for site in sites)), 0)
    later = {id(leaf) for _, leaf in order[first:]}
    return [leaf for _, leaf in order[:first] if id(leaf) not in later]


def _is_at(path: str, place: str) -> bool:
    return path == place or not place or path.startswith(f"{place}.")


def wanted(model: nn.Module, name: str, kinds: Sequence[str], example: Any = None) -> list[Site]:
    """Return the sites of some kinds.

    Raises:
        ValueError: If there is none; the message lists what there is.
    """
    sites = find(model, example)
    chosen = [site for site in sites if site.kind in kinds]
    kinds = [kind for kind in kinds if kind in (TRANSPOSED, SUB_PIXEL, RESIZE)]
    if not chosen:
        got = ", ".join(f"{site.kind} at {site.path or 'the top'}" for site in sites) or type(model).__name__
        hint = "pass an example of its input" if example is None else "see: checkerscope audit"
        raise checks.mismatch(name, f"a {' or a '.join(kinds)} of stride above 1", got, hint)
    return chosen


def without_calls(model: nn.Module, name: str, example: Any = None) -> None:
    """Check that every enlargement is a layer, which can be exchanged for another.

    Raises:
        ValueError: If some are calls in a `forward`: what is left makes a grid as before.
    """
    _running.check_python(model, name)
    calls = [site.name for site in find(model, example) if site.call is not None]
    if calls:
        raise checks.mismatch(name, "layers to exchange", ", ".join(calls), "use equal_gain, or hold")


def own_kinds(module: nn.Module) -> list[str]:
    """Return the class names of the catalogue's upsamplers in `module` whose gains can differ."""
    return [site.kind for site in find(module) if site.is_ours and site.parameters()]


def _kernels_of(site: Site) -> Any:
    """Return what tells kernels apart: one that is used in several places is one."""
    extent = ((p, p.elements.long()) for p in site.parameters())
    return tuple((id(p.owner), p.name, e.numel(), int(e.min()), int(e.max()), int(e.sum())) for p, e in extent)


def learned(model: nn.Module, name: str, example: Any = None) -> list[Site]:
    """Return the sites with a kernel whose phase gains can differ.

    Raises:
        ValueError: If there is none, or if there are others as well that no kernel can be changed for: what cures
            some enlargements and not all leaves a grid, often a stronger one.
    """
    _running.check_python(model, name)
    sites = find(model, example)
    curable = list({_kernels_of(site): site for site in reversed(sites) if site.parameters()}.values())[::-1]
    others = [site.name for site in sites if site.call is not None and not site.parameters()]
    if others:
        expected = "a parameter that is the kernel of every enlargement"
        raise checks.mismatch(name, expected, ", ".join(others) + " without one", "use hold with places=output")
    if not curable:
        equal = [site.kind for site in sites if site.is_ours]
        wanted(model, name, (TRANSPOSED, SUB_PIXEL, *equal), example)
        raise checks.mismatch(name, "a layer whose phase gains can differ", "equal gains by construction")
    return curable


def check_equal(model: nn.Module, name: str, example: Any) -> None:
    """Check on an example that every kernel that enlarges has equal phase gains as it is used.

    Raises:
        ValueError: If one has not, because it is scaled per phase between the parameter and its use.
    """
    if example is None or isinstance(model, Upsampler):
        return
    for found in _followed(model, example):
        if isinstance(found, str) or found.maker.kernel is None:
            continue
        coarse = found.maker.weight is not None and torch.finfo(found.maker.weight.dtype).eps > 1e-6
        if found.gain_spread > (COARSE if coarse else TOLERANCE):
            got = f"phase gains that still differ by {found.gain_spread:.0%}"
            where = f"{name}: {found.place.path or found.place.function}"
            raise checks.mismatch(where, "a kernel that is used as it is", got, "use hold with places=output")


def period(sites: Sequence[Site]) -> tuple[int, ...]:
    """Return the product of the strides of a chain of sites, per axis."""
    return tuple(prod(factors) for factors in itertools.zip_longest(*(site.strides for site in sites), fillvalue=1))
