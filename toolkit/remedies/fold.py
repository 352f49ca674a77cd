"""Bake every parametrization and every linear upsampler of ours into plain torch layers."""

from __future__ import annotations

import torch
from torch import nn

from checkerscope.toolkit import checks, parametrizations
from checkerscope.toolkit.contracts.upsampler import Upsampler
from checkerscope.toolkit.remedies._kernels import from_site, to_transposed
from checkerscope.toolkit.remedies._layers import Behind, Cured, PhaseAffine, Shuffle
from checkerscope.toolkit.remedies._site import RESIZE, SUB_PIXEL, TRANSPOSED, Site

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
        if isinstance(plain, Behind) and isinstance(module, nn.Sequential):
            plain = nn.Sequential(*plain).train(plain.training)  # nobody there reads its attributes
        if plain is not child:
            setattr(module, name, plain)
    return module


def _layers_of(upsampler: Upsampler) -> nn.Module:
    if isinstance(upsampler, Cured):
        return upsampler.inner
    if not upsampler.enlarges_by:
        name = type(upsampler).__module__.rpartition(".")[2]
        raise checks.mismatch(
            "fold", "upsamplers with a form in plain torch layers, border included", name, "replace it"
        )
    conv, dims = upsampler.plain_convolution(), upsampler.spatial_dims
    if upsampler.enlarges_by == TRANSPOSED:
        return conv
    if upsampler.enlarges_by == SUB_PIXEL:
        if dims == 2:
            return nn.Sequential(conv, nn.PixelShuffle(upsampler.scale))
        # torch has no shuffle of one or three axes
        return from_site(Site("", SUB_PIXEL, conv, (upsampler.scale,) * dims, conv), "fold", to_transposed)
    linear = {1: "linear", 2: "bilinear", 3: "trilinear"}[dims]
    mode = "nearest" if upsampler.enlarges_by == RESIZE else linear
    return nn.Sequential(nn.Upsample(scale_factor=upsampler.scale, mode=mode), conv)


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
