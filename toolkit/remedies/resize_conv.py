"""Resize-convolution in the place of every learned enlargement, its weights as near as they can be."""

from __future__ import annotations

from typing import Any

from torch import nn

from checkerscope.toolkit import parametrizations
from checkerscope.toolkit.remedies import _exchange, _kernels, _running, _sites
from checkerscope.toolkit.remedies._site import SUB_PIXEL, TRANSPOSED

LABEL = "Resize-convolution instead"
SOURCE = "Odena 2016, distill.pub/2016/deconv-checkerboard; weights by least squares: this study"
PROMISE = "needs fine-tuning"
APPLIES_TO = ("transposed convolution", "sub-pixel shuffle")
COST = "up to s^2 times the multiply-accumulates of a sub-pixel layer; `nearest_to_transposed` merges it again"


def apply(module: nn.Module, *, kernel_size: int | None = None, example: Any = None) -> nn.Module:
    """Return a copy of `module` with a nearest resize and a convolution for every learned enlargement.

    The new kernel h minimises |box * h - w|^2 against the old transposed kernel w; the bias is its mean over phases.

    Args:
        module: Any module with transposed convolutions or convolutions in front of a pixel shuffle whose output is
            exactly stride times the input.
        kernel_size: Odd number of taps per axis; None for the smallest that reaches every old tap.
        example: Of the module's input, with which calls are found; by default a flat map that fits the first layer.

    Raises:
        ValueError: If there is no such layer, or it has another output size.

    >>> import torch
    >>> layer = apply(nn.ConvTranspose2d(1, 1, 4, stride=2, padding=1))
    >>> tuple(layer[1].weight.shape), tuple(layer(torch.ones(1, 1, 8, 8)).shape)
    ((1, 1, 3, 3), (1, 1, 16, 16))
    """
    cured = parametrizations.copied(module, "resize_conv")
    example = _running.example_of(cured, example)
    _sites.without_calls(cured, "resize_conv", example)
    kinds = (TRANSPOSED, SUB_PIXEL, *_sites.own_kinds(cured))
    for site in _sites.wanted(cured, "resize_conv", kinds, example):
        new = _kernels.from_site(site, "resize_conv", lambda taps: _kernels.to_resize(taps, kernel_size)[0])
        cured = _exchange.replaced(cured, site, new)
    return cured
