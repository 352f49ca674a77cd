"""Equal phase gains for every learned enlargement of a module: once, or kept so through further training."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import weight_norm

from checkerscope.toolkit import checks, parametrizations
from checkerscope.toolkit.contracts.upsampler import replication_pad
from checkerscope.toolkit.filters import equal_gain_projection
from checkerscope.toolkit.remedies import _exchange, _flat, _running, _sites
from checkerscope.toolkit.remedies._site import SUB_PIXEL, TRANSPOSED, Parameter, Site

LABEL = "Equal phase gains"
SOURCE = "this study; the condition is Sugawara 2019, APSIPA Trans. 8"
PROMISE = "needs fine-tuning"
APPLIES_TO = ("transposed convolution", "sub-pixel shuffle")
COST = "none at inference; a projection per step while it is trained"

SCOPES = ("pair", "flat")
BORDERS = ("zeros", "replicate")


class _EqualGain(nn.Module):
    """Parametrization: the nearest kernel with equal phase gains, of all channel pairs or of an input subspace."""

    elements: Tensor | None
    subspace: Tensor | None

    def __init__(self, kernel: Parameter, order: int, subspace: Tensor | None) -> None:
        super().__init__()
        self.kind, self.strides, self.shape = kernel.kind, kernel.strides, kernel.elements.shape
        weight: Tensor = getattr(kernel.owner, kernel.name)
        is_whole = torch.equal(kernel.elements.flatten(), torch.arange(weight.numel(), device=kernel.elements.device))
        self.register_buffer("elements", None if is_whole else kernel.elements.to(weight.device), persistent=False)
        make = (
            equal_gain_projection.transposed_projection
            if self.kind == "transposed"
            else equal_gain_projection.sub_pixel_projection
        )
        self.projection = make(self.shape[2:], kernel.strides, order)
        self.register_buffer("subspace", subspace)

    def forward(self, weight: Tensor) -> Tensor:
        if self.elements is None:
            return self._equal(weight.reshape(self.shape)).reshape(weight.shape)
        equal = self._equal(weight.flatten()[self.elements])
        return weight.flatten().index_copy(0, self.elements.flatten(), equal.flatten()).reshape(weight.shape)

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight

    def _equal(self, weight: Tensor) -> Tensor:
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
    """Parametrization: the mean over phases of the bias in front of a shuffle, for all phases."""

    elements: Tensor

    def __init__(self, elements: Tensor) -> None:
        super().__init__()
        self.register_buffer("elements", elements, persistent=False)

    def forward(self, bias: Tensor) -> Tensor:
        mean = bias.flatten()[self.elements].mean(1, keepdim=True).expand_as(self.elements)
        return bias.flatten().index_copy(0, self.elements.flatten(), mean.flatten()).reshape(bias.shape)

    def right_inverse(self, bias: Tensor) -> Tensor:
        return bias


def apply(
    module: nn.Module,
    *,
    order: int = 0,
    scope: str = "pair",
    keep: bool = False,
    border: str = "zeros",
    inputs: Tensor | None = None,
    example: Any = None,
) -> nn.Module:
    """Return a copy of `module` whose learned enlargements have equal phase gains, so that flat maps stay flat.

    All of them change: later layers have learned to cancel the grid of earlier ones, so one alone makes things worse.
    The rest of the network has learned to live with the grid: expect a loss of quality until a short fine-tune with
    `keep`, during which the gains stay equal; `fold` then bakes the kernels in. The bias of a sub-pixel convolution
    becomes one value for all phases.

    Args:
        module: Any module; transposed convolutions of stride above 1, convolutions or linear layers in front of a
            shuffle, as layers or as calls in its `forward`, and the catalogue's upsamplers with such kernels.
        order: Zeros of multiplicity `order + 1` at the alias frequencies.
        scope: `pair` constrains every channel pair. `flat` constrains only what flat images excite, D' = D - V V^T D
            with V the span of the layer's inputs on flat images; V belongs to the weights before the layer, so it
            holds as long as these stay.
        keep: Keep the gains equal during training by a parametrization; otherwise project the weights once.
        border: `zeros` leaves the padding, whose missing taps make a grid in the border rows; `replicate` continues
            the map with its border values instead.
        inputs: Flat inputs for the scope `flat`; grey and coloured images by default.
        example: Of the module's input (a tensor, a tuple, a dictionary), with which calls are found; by default a
            flat map that fits the first layer.

    Raises:
        ValueError: If there is no such layer, a kernel is too small for its stride and order, or some enlargement has
            no kernel that can be changed: half a cure is none.

    >>> layer = nn.ConvTranspose2d(1, 1, 2, stride=2, bias=False)
    >>> bool(apply(layer)(torch.ones(1, 1, 2, 2)).std() < 1e-6)
    True
    """
    checks.choice("equal_gain: scope", scope, SCOPES)
    checks.choice("equal_gain: border", border, BORDERS)
    cured = parametrizations.copied(module, "equal_gain")
    example = _running.example_of(cured, example)
    with parametrizations.parametrized_norms(cured, keep=keep):
        sites = _sites.learned(cured, "equal_gain", example)
        flat = None if scope == "pair" else _flat.images(cured, "equal_gain") if inputs is None else inputs
        for site in sites:
            for kernel in site.parameters():
                _constrain(cured, site, kernel, order, flat)
            if border == "replicate":
                cured = _replicating(cured, site)
        if scope == "pair":
            _sites.check_equal(cured, "equal_gain", example)
        return cured if keep else baked(cured)


def _constrain(cured: nn.Module, site: Site, kernel: Parameter, order: int, flat: Tensor | None) -> None:
    where = f"equal_gain: {site.name}"
    is_inner = site.call is not None or (kernel.owner is site.module and site.is_ours)
    if flat is not None and (kernel.groups > 1 or is_inner):
        raise checks.mismatch(f"{where}: scope flat", "one convolution without groups", str(site.module), "use pair")
    subspace = None if flat is None else _flat.excited(cured, kernel.owner, flat)
    try:
        projection = _EqualGain(kernel, order, subspace)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    parametrize.register_parametrization(kernel.owner, kernel.name, projection)
    for bias in kernel.biases:
        one = _OneBias(bias.elements.to(getattr(bias.owner, bias.name).device))
        parametrize.register_parametrization(bias.owner, bias.name, one)


def baked(module: nn.Module) -> nn.Module:
    """Return `module`, changed: the parametrizations of this remedy become plain weights.

    A weight that is normalized as well goes back into its normalization where that can hold it, else both stay.
    """
    for part in module.modules():
        if parametrize.is_parametrized(part):
            for name, chain in list(part.parametrizations.items()):  # type: ignore[union-attr, operator]
                if isinstance(chain[0], _EqualGain | _OneBias):
                    parametrize.remove_parametrizations(part, name)
                elif parametrizations.is_weight_norm(chain) and isinstance(chain[-1], _EqualGain):
                    parametrize.remove_parametrizations(part, name)
                    weight_norm(part, name, chain[0].dim)
    return module


def _replicating(module: nn.Module, site: Site) -> nn.Module:
    conv = site.conv
    if site.call is not None:
        raise checks.mismatch(f"equal_gain: {site.name}: border", "zeros for a call in a forward", "replicate")
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
    return _exchange.replaced(module, site, nn.Sequential(replication_pad(around, len(reach)), conv))
