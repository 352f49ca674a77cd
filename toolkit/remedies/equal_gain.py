"""Equal phase gains for every learned enlargement of a module: once, or kept so through further training."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from checkerscope.toolkit import checks
from checkerscope.toolkit.filters import equal_gain_projection
from checkerscope.toolkit.remedies import _flat, _sites
from checkerscope.toolkit.remedies._layers import replication_pad
from checkerscope.toolkit.remedies._sites import SUB_PIXEL, TRANSPOSED, Parameter, Site

LABEL = "Equal phase gains"
SOURCE = "this study; the condition is Sugawara 2019, APSIPA Trans. 8"
PROMISE = "needs fine-tuning"
APPLIES_TO = ("transposed convolution", "sub-pixel shuffle")
COST = "none at inference; a projection per step while it is trained"

SCOPES = ("pair", "flat")
BORDERS = ("zeros", "replicate")


class _EqualGain(nn.Module):
    """Parametrization: the nearest kernel with equal phase gains, of all channel pairs or of an input subspace."""

    def __init__(self, kernel: Parameter, order: int, subspace: Tensor | None) -> None:
        super().__init__()
        self.kind, self.strides = kernel.kind, kernel.strides
        weight: Tensor = getattr(kernel.owner, kernel.name)
        make = (
            equal_gain_projection.transposed_projection
            if self.kind == "transposed"
            else equal_gain_projection.sub_pixel_projection
        )
        self.projection = make(weight.shape[2:], kernel.strides, order)
        self.register_buffer("subspace", subspace)

    def forward(self, weight: Tensor) -> Tensor:
        taps = weight.double()
        taps = (
            taps.flatten(2)
            if self.kind == "transposed"
            else equal_gain_projection.flatten_sub_pixel(taps, self.strides)
        )
        excess = taps - self.projection(taps)
        if self.subspace is not None:
            pattern = "ij,jok->iok" if self.kind == "transposed" else "ij,ojk->oik"
            excess = torch.einsum(pattern, self.subspace.double(), excess)
        equal = taps - excess
        if self.kind == "transposed":
            return equal.reshape(weight.shape).to(weight.dtype)
        return equal_gain_projection.unflatten_sub_pixel(equal, weight.shape).to(weight.dtype)


class _OneBias(nn.Module):
    """Parametrization: the mean over phases of a sub-pixel layer's bias, for all phases."""

    def __init__(self, phases: int) -> None:
        super().__init__()
        self.phases = phases

    def forward(self, bias: Tensor) -> Tensor:
        return bias.unflatten(0, (-1, self.phases)).mean(1).repeat_interleave(self.phases)


def apply(
    module: nn.Module,
    *,
    order: int = 0,
    scope: str = "pair",
    keep: bool = False,
    border: str = "zeros",
    inputs: Tensor | None = None,
) -> nn.Module:
    """Return a copy of `module` whose learned enlargements have equal phase gains, so that flat maps stay flat.

    All of them change: later layers have learned to cancel the grid of earlier ones, so one alone makes things worse.
    The rest of the network has learned to live with the grid: expect a loss of quality until a short fine-tune with
    `keep`, during which the gains stay equal; `fold` then bakes the kernels in. The bias of a sub-pixel convolution
    becomes one value for all phases.

    Args:
        module: Any module; transposed convolutions of stride above 1, convolutions in front of a pixel shuffle, and
            the catalogue's upsamplers with such kernels.
        order: Zeros of multiplicity `order + 1` at the alias frequencies.
        scope: `pair` constrains every channel pair. `flat` constrains only what flat images excite, D' = D - V V^T D
            with V the span of the layer's inputs on flat images; V belongs to the weights before the layer, so it
            holds as long as these stay.
        keep: Keep the gains equal during training by a parametrization; otherwise project the weights once.
        border: `zeros` leaves the padding, whose missing taps make a grid in the border rows; `replicate` continues
            the map with its border values instead.
        inputs: Flat inputs for the scope `flat`; grey and coloured images by default.

    Raises:
        ValueError: If there is no such layer, or a kernel is too small for its stride and order.

    >>> layer = nn.ConvTranspose2d(1, 1, 2, stride=2, bias=False)
    >>> bool(apply(layer)(torch.ones(1, 1, 2, 2)).std() < 1e-6)
    True
    """
    checks.choice("equal_gain: scope", scope, SCOPES)
    checks.choice("equal_gain: border", border, BORDERS)
    cured = _sites.copied(module, "equal_gain")
    sites = _sites.learned(cured, "equal_gain")
    flat = None if scope == "pair" else _flat.images(cured, "equal_gain") if inputs is None else inputs
    for site in sites:
        for kernel in site.parameters():
            _constrain(cured, site, kernel, order, flat)
        if border == "replicate":
            cured = _replicating(cured, site)
    return cured if keep else baked(cured)


def _constrain(cured: nn.Module, site: Site, kernel: Parameter, order: int, flat: Tensor | None) -> None:
    where = f"equal_gain: {site.path or site.kind}"
    if flat is not None and (kernel.groups > 1 or (kernel.owner is site.module and site.is_ours)):
        raise checks.mismatch(f"{where}: scope flat", "one convolution without groups", str(site.module), "use pair")
    subspace = None if flat is None else _flat.excited(cured, kernel.owner, flat)
    try:
        projection = _EqualGain(kernel, order, subspace)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    parametrize.register_parametrization(kernel.owner, kernel.name, projection)
    if kernel.kind == "sub_pixel" and kernel.bias:
        parametrize.register_parametrization(kernel.owner, kernel.bias, _OneBias(prod(kernel.strides)))


def baked(module: nn.Module) -> nn.Module:
    """Return `module`, changed: the parametrizations of this remedy become plain weights."""
    for part in module.modules():
        if parametrize.is_parametrized(part):
            for name, chain in list(part.parametrizations.items()):  # type: ignore[union-attr, operator]
                if isinstance(chain[0], _EqualGain | _OneBias):
                    parametrize.remove_parametrizations(part, name)
    return module


def _replicating(module: nn.Module, site: Site) -> nn.Module:
    conv = site.conv
    if site.kind == SUB_PIXEL:
        conv.padding_mode = "replicate"
        return module
    if site.kind != TRANSPOSED:
        raise checks.mismatch(f"equal_gain: {site.path}: border", "zeros for this layer", "replicate")
    reach = [-(-p // s) for p, s in zip(conv.padding, conv.stride, strict=True)]
    if not any(reach):
        return module
    conv.padding = tuple(p + s * r for p, s, r in zip(conv.padding, conv.stride, reach, strict=True))
    around = tuple(side for r in reversed(reach) for side in (r, r))
    return _sites.replaced(module, site, nn.Sequential(replication_pad(around, len(reach)), conv))
