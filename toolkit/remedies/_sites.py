"""Where a module enlarges with learned kernels, and how such a place is exchanged for another."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from checkerscope.toolkit import checks
from checkerscope.toolkit.contracts.upsampler import Upsampler
from checkerscope.toolkit.parametrizations import copied as copied
from checkerscope.toolkit.remedies._layers import Cured
from checkerscope.toolkit.upsamplers.equal_gain_pixel_shuffle import EqualGainPixelShuffle
from checkerscope.toolkit.upsamplers.equal_gain_transposed_conv import EqualGainTransposedConv
from checkerscope.toolkit.upsamplers.nearest_conv import NearestConv
from checkerscope.toolkit.upsamplers.pixel_shuffle import PixelShuffle
from checkerscope.toolkit.upsamplers.pixel_shuffle_blur import PixelShuffleBlur
from checkerscope.toolkit.upsamplers.transposed_conv import TransposedConv

#: What a site may be; the audit uses the same words for the first two.
TRANSPOSED, SUB_PIXEL, RESIZE = "transposed convolution", "sub-pixel shuffle", "nearest resize and convolution"
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED_CONVOLUTIONS = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
RESIZES = (nn.Upsample, nn.UpsamplingNearest2d)
#: They act value by value, so they commute with whatever moves or repeats values.
POINTWISE = (
    *(nn.Identity, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish),
    *(nn.Sigmoid, nn.Tanh, nn.Hardswish, nn.Hardtanh, nn.Softplus),
)
#: Upsamplers of the catalogue whose phase gains are equal whatever their kernels are.
EQUAL_ALREADY = (EqualGainPixelShuffle, EqualGainTransposedConv, PixelShuffleBlur)


@dataclass(frozen=True)
class Parameter:
    """A learned kernel: the module that owns it, the name there, and the layout's kind, strides and bias."""

    owner: nn.Module
    name: str
    kind: str
    strides: tuple[int, ...]
    groups: int = 1
    bias: str = ""


@dataclass(frozen=True)
class Site:
    """One place that enlarges.

    Attributes:
        path: Of the convolution, or of the project's own upsampler.
        kind: `TRANSPOSED`, `SUB_PIXEL`, `RESIZE`, or the class name of another upsampler of ours.
        module: What lies at `path`.
        strides: Factor per spatial axis.
        conv: The one convolution with the kernel; None for another upsampler of ours.
        partner: Path of the shuffle or resize that belongs to the convolution, "" where there is none.
    """

    path: str
    kind: str
    module: nn.Module
    strides: tuple[int, ...]
    conv: Any = None
    partner: str = ""

    @property
    def is_ours(self) -> bool:
        """Whether the place is one of the project's own upsamplers."""
        return isinstance(self.module, Upsampler)

    def parameters(self) -> list[Parameter]:
        """Return the learned kernels that enlarge; none where the gains are equal whatever they are."""
        if isinstance(self.module, Upsampler):
            return [] if isinstance(self.module, EQUAL_ALREADY) else list(_own_parameters(self.module))
        if self.kind == RESIZE:
            return []
        kind = "transposed" if self.kind == TRANSPOSED else "sub_pixel"
        bias = "bias" if self.conv.bias is not None else ""
        return [Parameter(self.conv, "weight", kind, self.strides, self.conv.groups, bias)]


def find(model: nn.Module, example: Tensor | None = None) -> list[Site]:
    """Return every place of `model` that enlarges with a learned kernel and strides above 1.

    A convolution belongs to the shuffle or resize that comes next to it, activations aside: in the order in which the
    modules run on `example`, else in the order in which they were registered. A functional shuffle or resize cannot
    be found; `analysis.audit.procedure` names it.
    """
    leaves = _executed(model, example) if example is not None else list(_leaves(model, ""))
    sites: dict[str, Site] = {}
    before: tuple[str, nn.Module] | None = None
    for path, leaf in leaves:
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
    kinds = {TransposedConv: TRANSPOSED, PixelShuffle: SUB_PIXEL, NearestConv: RESIZE}
    kind = kinds.get(type(leaf), type(leaf).__name__)
    if leaf.scale > 1 and not leaf.needs_context:
        yield Site(path, kind, leaf, strides, leaf.conv if type(leaf) in kinds else None)


def _own_parameters(upsampler: Upsampler) -> Iterator[Parameter]:
    owners = {
        id(tensor): (module, name)
        for module in upsampler.modules()
        for name, tensor in module.named_parameters("", False)
    }
    for kernel in upsampler.kernels():
        if kernel.layout.kind == "conv" or max(kernel.layout.strides) == 1 or id(kernel.weight) not in owners:
            continue
        owner, name = owners[id(kernel.weight)]
        bias = "bias" if getattr(owner, "bias", None) is not None else ""
        yield Parameter(owner, name, kernel.layout.kind, tuple(kernel.layout.strides), kernel.layout.groups, bias)


def _nearest_factors(resize: Any, dims: int) -> tuple[int, ...]:
    if resize.mode not in ("nearest", "nearest-exact") or resize.scale_factor is None:
        return ()
    given = resize.scale_factor if isinstance(resize.scale_factor, tuple) else (resize.scale_factor,) * dims
    whole = all(float(factor).is_integer() for factor in given) and max(given) > 1
    return tuple(int(factor) for factor in given) if whole else ()


def _leaves(module: nn.Module, path: str) -> Iterator[tuple[str, nn.Module]]:
    stop = (Upsampler, *CONVOLUTIONS, *TRANSPOSED_CONVOLUTIONS)  # a parametrized convolution has children too
    children = list(module.named_children())
    if isinstance(module, stop) or not children:
        yield path, module
        return
    for name, child in children:
        yield from _leaves(child, f"{path}.{name}" if path else name)


def _executed(model: nn.Module, example: Tensor) -> list[tuple[str, nn.Module]]:
    """Return the leaves in the order of their calls, one that is called twice as often as it is called."""
    order: list[tuple[str, nn.Module]] = []
    handles = [
        leaf.register_forward_pre_hook(lambda module, inputs, path=path: order.append((path, module)))
        for path, leaf in _leaves(model, "")
    ]
    try:
        outputs(model, example)
    finally:
        for handle in handles:
            handle.remove()
    return order


def before_the_first(model: nn.Module, example: Tensor) -> list[nn.Module]:
    """Return the leaves of `model` that run before its first learned enlargement, and not after it."""
    sites = find(model, example)
    order = _executed(model, example)
    first = next((i for i, (path, _) in enumerate(order) if any(path == site.path for site in sites)), 0)
    later = {id(leaf) for _, leaf in order[first:]}
    return [leaf for _, leaf in order[:first] if id(leaf) not in later]


def outputs(model: nn.Module, inputs: Tensor, batch_size: int = 16) -> Tensor:
    """Return what `model` makes of `inputs` in evaluation mode, without gradients; its mode stays as it was."""
    modes = [(part, part.training) for part in model.modules()]
    try:
        with torch.no_grad():
            return torch.cat([model.eval()(batch) for batch in inputs.split(batch_size)])
    finally:
        for part, mode in modes:
            part.training = mode


def wanted(model: nn.Module, name: str, kinds: Sequence[str], example: Tensor | None = None) -> list[Site]:
    """Return the sites of some kinds.

    Raises:
        ValueError: If there is none; the message lists what there is.
    """
    sites = find(model, example)
    chosen = [site for site in sites if site.kind in kinds]
    kinds = [kind for kind in kinds if kind in (TRANSPOSED, SUB_PIXEL, RESIZE)]
    if not chosen:
        got = ", ".join(f"{site.kind} at {site.path or 'the top'}" for site in sites) or type(model).__name__
        raise checks.mismatch(name, f"a {' or a '.join(kinds)} of stride above 1", got, "see: checkerscope audit")
    return chosen


def learned(model: nn.Module, name: str) -> list[Site]:
    """Return the sites with a kernel whose phase gains can differ.

    Raises:
        ValueError: If there is none.
    """
    sites = [site for site in find(model) if site.parameters()]
    if not sites:
        wanted(model, name, (TRANSPOSED, SUB_PIXEL, *(cls.__name__ for cls in EQUAL_ALREADY)))
        raise checks.mismatch(name, "a layer whose phase gains can differ", "equal gains by construction")
    return sites


def replaced(model: nn.Module, site: Site, new: nn.Module) -> nn.Module:
    """Put `new` in the place of a site of `model`, its shuffle or resize included; return the model, changed."""
    if isinstance(site.module, Upsampler):
        new = Cured(site.module, new)
    if site.partner:
        _put(model, site.partner, nn.Identity())
    return _put(model, site.path, new.train(site.module.training))


def after(model: nn.Module, site: Site, layer: nn.Module) -> nn.Module:
    """Put `layer` behind a site of `model`; return the model, changed."""
    if site.kind == SUB_PIXEL and site.partner:
        return _put(model, site.partner, nn.Sequential(model.get_submodule(site.partner), layer))
    together = nn.Sequential(site.module, layer)
    return _put(model, site.path, Cured(site.module, together) if isinstance(site.module, Upsampler) else together)


def _put(model: nn.Module, path: str, new: nn.Module) -> nn.Module:
    if not path:
        return new
    model.set_submodule(path, new)
    return model


def period(sites: Sequence[Site]) -> tuple[int, ...]:
    """Return the product of the strides of a chain of sites, per axis."""
    return tuple(prod(factors) for factors in itertools.zip_longest(*(site.strides for site in sites), fillvalue=1))


def first_channels(module: nn.Module, name: str) -> tuple[int, int]:
    """Return the input channels and spatial axes of the first layer that has a kernel.

    Raises:
        ValueError: If there is none.
    """
    for _, leaf in _leaves(module, ""):
        if isinstance(leaf, Upsampler):
            return leaf.in_channels, leaf.spatial_dims
        if isinstance(leaf, CONVOLUTIONS + TRANSPOSED_CONVOLUTIONS):
            return leaf.in_channels, len(leaf.kernel_size)
    raise checks.mismatch(name, "a convolution to read the input's channels from", type(module).__name__, "pass inputs")
