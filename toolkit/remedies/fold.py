"""Bake every parametrization and every linear upsampler of ours into plain torch layers."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from checkerscope.toolkit import checks, parametrizations
from checkerscope.toolkit.contracts.upsampler import Upsampler, convolution, transposed_convolution
from checkerscope.toolkit.remedies._kernels import from_site, to_transposed
from checkerscope.toolkit.remedies._layers import Cured, PhaseAffine, Shuffle, replication_pad
from checkerscope.toolkit.remedies._sites import SUB_PIXEL, Site
from checkerscope.toolkit.upsamplers.bilinear_conv import BilinearConv
from checkerscope.toolkit.upsamplers.equal_gain_pixel_shuffle import EqualGainPixelShuffle
from checkerscope.toolkit.upsamplers.equal_gain_transposed_conv import EqualGainTransposedConv
from checkerscope.toolkit.upsamplers.nearest_conv import NearestConv
from checkerscope.toolkit.upsamplers.pixel_shuffle import PixelShuffle
from checkerscope.toolkit.upsamplers.transposed_conv import TransposedConv

LABEL = "Fold"
SOURCE = "this study"
PROMISE = "exact"
APPLIES_TO = ("transposed convolution", "sub-pixel shuffle")
#: Folding changes no output, so it is no cure of its own.
CURES = False
COST = "none"


def apply(module: nn.Module) -> nn.Module:
    """Return a copy of `module` in plain torch layers, so that it loads and exports without this project.

    Parametrized weights become plain parameters, fixed layers of a cure torch's own. In a module of your own the
    project's upsamplers become torch layers as well; the project's networks keep theirs, which belong to them.

    Args:
        module: Any module; one without anything to fold comes back as a copy.

    Raises:
        ValueError: If an upsampler of ours in it has no form in plain layers with the same border.

    >>> from checkerscope.toolkit.remedies import equal_gain
    >>> cured = equal_gain.apply(nn.ConvTranspose2d(1, 1, 4, stride=2), keep=True)
    >>> sorted(cured.state_dict()), sorted(apply(cured).state_dict())
    (['bias', 'parametrizations.weight.original'], ['bias', 'weight'])
    """
    folded = parametrizations.removed(module, "fold")
    if type(folded).__module__.startswith("checkerscope.toolkit.networks."):
        return folded
    return _plain(folded)


def _plain(module: nn.Module) -> nn.Module:
    if isinstance(module, Upsampler):
        return _plain(_layers_of(module)).train(module.training)
    if isinstance(module, PhaseAffine):
        return _unshuffled(module)
    if isinstance(module, Shuffle):
        raise checks.mismatch("fold", "layers with a form in plain torch", "a shuffle of one or three axes")
    for name, child in list(module.named_children()):
        plain = _plain(child)
        if plain is not child:
            setattr(module, name, plain)
    return module


def _layers_of(upsampler: Upsampler) -> nn.Module:
    conv: Any = getattr(upsampler, "conv", None)
    if isinstance(upsampler, Cured):
        return upsampler.inner
    if isinstance(upsampler, TransposedConv):
        return conv
    if isinstance(upsampler, NearestConv | BilinearConv):
        mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[upsampler.spatial_dims]
        mode = "nearest" if isinstance(upsampler, NearestConv) else mode
        return nn.Sequential(nn.Upsample(scale_factor=upsampler.scale, mode=mode), conv)
    if isinstance(upsampler, PixelShuffle):
        return _sub_pixel(conv, upsampler)
    if isinstance(upsampler, EqualGainPixelShuffle):
        return _sub_pixel(_equal_sub_pixel(upsampler), upsampler)
    if isinstance(upsampler, EqualGainTransposedConv):
        return _equal_transposed(upsampler)
    name = type(upsampler).__module__.rpartition(".")[2]
    raise checks.mismatch("fold", "upsamplers with a form in plain torch layers, border included", name, "replace it")


def _sub_pixel(conv: Any, upsampler: Upsampler) -> nn.Module:
    if upsampler.spatial_dims == 2:
        return nn.Sequential(conv, nn.PixelShuffle(upsampler.scale))
    # torch has no shuffle of one or three axes
    strides = (upsampler.scale,) * upsampler.spatial_dims
    return from_site(Site("", SUB_PIXEL, conv, strides, conv), "fold", to_transposed)


def _equal_sub_pixel(upsampler: EqualGainPixelShuffle) -> nn.Module:
    free, phases = upsampler.conv, upsampler.scale**upsampler.spatial_dims
    conv: Any = nn.utils.skip_init(
        convolution(upsampler.spatial_dims),
        *(free.in_channels, free.out_channels, free.kernel_size),
        padding=tuple(k // 2 for k in free.kernel_size),
        bias=upsampler.bias is not None,
        padding_mode=upsampler.border,
        dtype=free.weight.dtype,
        device=free.weight.device,
    )
    with torch.no_grad():
        conv.weight.copy_(upsampler.effective_weight())
        if upsampler.bias is not None:
            conv.bias.copy_(upsampler.bias.repeat_interleave(phases))
    return conv


def _equal_transposed(upsampler: EqualGainTransposedConv) -> nn.Module:
    free, dims, s = upsampler.conv, upsampler.spatial_dims, upsampler.scale
    reach = -(-upsampler.padding // s) if upsampler.border == "replicate" else 0
    conv: Any = nn.utils.skip_init(
        transposed_convolution(dims),
        *(free.in_channels, free.out_channels, free.kernel_size, s),
        padding=upsampler.padding + s * reach,
        output_padding=upsampler.output_padding,
        bias=free.bias is not None,
        dtype=free.weight.dtype,
        device=free.weight.device,
    )
    with torch.no_grad():
        conv.weight.copy_(upsampler.effective_weight())
        if free.bias is not None:
            conv.bias.copy_(free.bias)
    return nn.Sequential(replication_pad(reach, dims), conv) if reach else conv


def _unshuffled(layer: PhaseAffine) -> nn.Module:
    """Return pixel unshuffle, depthwise 1 x 1 convolution, pixel shuffle: sides must be multiples of the period."""
    channels, *period = layer.gain.shape
    if len(period) != 2 or len(set(period)) > 1:
        raise checks.mismatch("fold", "phase offsets on two axes with one period", tuple(period))
    count = channels * period[0] ** 2
    conv = nn.utils.skip_init(
        nn.Conv2d, count, count, 1, groups=count, dtype=layer.gain.dtype, device=layer.gain.device
    )
    with torch.no_grad():
        conv.weight.copy_(layer.gain.reshape(-1, 1, 1, 1))
        conv.bias.copy_(layer.offset.flatten())
    return nn.Sequential(nn.PixelUnshuffle(period[0]), conv, nn.PixelShuffle(period[0]))
