"""One place that enlarges, and the learned kernels there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from checkerscope.toolkit.contracts.upsampler import Upsampler
from checkerscope.toolkit.remedies._calls import Enlargement

#: What a site may be; the audit uses the same words for the first two.
TRANSPOSED, SUB_PIXEL, RESIZE = "transposed convolution", "sub-pixel shuffle", "nearest resize and convolution"


@dataclass(frozen=True)
class Bias:
    """A learned offset in front of a shuffle: its owner, its name there, and its elements by channel and phase."""

    owner: nn.Module
    name: str
    elements: Tensor


@dataclass(frozen=True)
class Parameter:
    """A learned kernel that enlarges.

    Attributes:
        owner: Module that it belongs to.
        name: Its name there.
        kind: "transposed" or "sub_pixel", as in `contracts.upsampler.Layout`.
        strides: Factor per axis.
        groups: Channel groups.
        elements: Flat index of its elements in the order of that layout.
        biases: What is added before the shuffle; none for a transposed convolution, which adds one value per channel.
    """

    owner: nn.Module
    name: str
    kind: str
    strides: tuple[int, ...]
    groups: int
    elements: Tensor
    biases: tuple[Bias, ...] = ()

    @property
    def weight(self) -> Tensor:
        """The kernel in its layout, as it is used: a parametrization included."""
        values: Tensor = getattr(self.owner, self.name)
        return values.flatten()[self.elements.to(values.device)]


@dataclass(frozen=True)
class Site:
    """One place that enlarges.

    Attributes:
        path: Of the module that owns the kernel: the convolution, the project's own upsampler.
        kind: `TRANSPOSED`, `SUB_PIXEL`, `RESIZE`, the class name of another upsampler of ours, or the operator's name.
        module: What lies at `path`.
        strides: Factor per spatial axis.
        conv: The one convolution with the kernel; None for another upsampler of ours and for a call.
        partner: Path of the shuffle or resize that belongs to the convolution, "" where there is none.
        call: What was seen of a call in somebody's `forward`; None for a layer.
    """

    path: str
    kind: str
    module: nn.Module
    strides: tuple[int, ...]
    conv: Any = None
    partner: str = ""
    call: Enlargement | None = None

    @property
    def is_ours(self) -> bool:
        """Whether the place is one of the project's own upsamplers."""
        return isinstance(self.module, Upsampler)

    @property
    def name(self) -> str:
        """What to call it in a message."""
        if self.call is None:
            return self.path or self.kind
        place = self.call.place
        number = f" {place.ordinal + 1}" if place.ordinal else ""
        return f"{self.kind} by {place.function}{number} in {place.path or 'forward'}"

    def parameters(self) -> list[Parameter]:
        """Return the learned kernels that enlarge; none where the gains are equal whatever they are."""
        if isinstance(self.module, Upsampler):
            return [] if self.module.has_equal_gains else list(_own_parameters(self.module))
        if self.call is not None:
            return _called_parameters(self.call)
        if self.kind == RESIZE:
            return []
        return [_layer_parameter(self)]


def _called_parameters(call: Enlargement) -> list[Parameter]:
    """Return the kernel behind a call; none where no parameter can be told to be it."""
    maker, dims = call.maker, len(call.strides)
    if maker.kernel is None:
        return []
    owner, name, index = maker.kernel.owner, maker.kernel.name, maker.kernel.index
    biases: tuple[Bias, ...] = ()
    if call.order is None:
        kind = "transposed"
    else:
        kind, order = "sub_pixel", call.order.to(index.device)
        group = order // (len(index) // maker.groups)
        if not (group == group[:, :1]).all() or (prod(index.shape[2:]) > 1 and index.dim() - 2 != dims):
            return []
        biases = tuple(Bias(b.owner, b.name, _per_channel(b.index, len(index))[order]) for b in maker.biases)
        index = index[order.flatten()]
        index = index if index.dim() - 2 == dims else index.flatten(1)[(..., *(None,) * dims)]
    if len(index.unique()) < index.numel():
        return []
    return [Parameter(owner, name, kind, call.strides, maker.groups, index, biases)]


def _per_channel(index: Tensor, channels: int) -> Tensor:
    """Return the elements of a bias, one per channel, from those of the map that it was spread over."""
    if index.dim() == 1:
        return index
    axis = 1 if index.shape[1] == channels else -1
    return index.movedim(axis, 0).flatten(1)[:, 0]


def _layer_parameter(site: Site) -> Parameter:
    layer: Any = site.module
    # the hooks of torch.nn.utils.spectral_norm keep the kernel under another name
    name = "weight_orig" if "weight_orig" in layer._parameters else "weight"
    kind = "transposed" if site.kind == TRANSPOSED else "sub_pixel"
    elements = torch.arange(layer.weight.numel()).reshape(layer.weight.shape)
    biases: tuple[Bias, ...] = ()
    if kind == "sub_pixel" and layer.bias is not None:
        biases = (Bias(layer, "bias", torch.arange(layer.out_channels).reshape(-1, prod(site.strides))),)
    return Parameter(layer, name, kind, site.strides, layer.groups, elements, biases)


def _own_parameters(upsampler: Upsampler) -> Iterator[Parameter]:
    owners = {
        id(tensor): (module, name)
        for module in upsampler.modules()
        for name, tensor in module.named_parameters("", False)
    }
    for kernel in upsampler.kernels():
        layout = kernel.layout
        if layout.kind == "conv" or max(layout.strides) == 1 or id(kernel.weight) not in owners:
            continue
        owner, name = owners[id(kernel.weight)]
        elements = torch.arange(kernel.weight.numel()).reshape(kernel.weight.shape)
        bias = getattr(owner, "bias", None) if layout.kind == "sub_pixel" else None
        biases = (
            () if bias is None else (Bias(owner, "bias", torch.arange(len(bias)).reshape(-1, prod(layout.strides))),)
        )
        yield Parameter(owner, name, layout.kind, tuple(layout.strides), layout.groups, elements, biases)
