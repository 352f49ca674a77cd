"""ICNR: draw every kernel that enlarges anew, the same for all phases."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.spectral_norm import SpectralNorm

from checkerscope.toolkit import checks, parametrizations
from checkerscope.toolkit.contracts.upsampler import Layout
from checkerscope.toolkit.initializers import icnr, icnr_transposed
from checkerscope.toolkit.remedies import _running, _sites
from checkerscope.toolkit.remedies._site import Parameter

LABEL = "ICNR re-initialization"
SOURCE = "Aitken 2017, arXiv:1707.02937"
PROMISE = "needs fine-tuning"
APPLIES_TO = ("transposed convolution", "sub-pixel shuffle")
COST = "none at inference; what the layers have learned is lost, and the phases part again in training"


#: Power iterations for the norm of a kernel drawn anew.
POWER_STEPS = 20


def apply(module: nn.Module, *, seed: int = 0, example: Any = None) -> nn.Module:
    """Return a copy of `module` whose enlarging kernels are drawn anew, equal over the phases.

    The layers start as a convolution followed by a nearest resize; what they had learned is gone and nothing keeps
    the phases equal in the training that must follow. Biases keep their mean over phases.

    Args:
        module: Any module with transposed convolutions whose kernel size is a multiple of the stride, or with
            convolutions in front of a pixel shuffle.
        seed: Of the new kernels.
        example: Of the module's input, with which calls are found; by default a flat map that fits the first layer.

    Raises:
        ValueError: If there is no such layer, or a kernel size is no multiple of its stride.
    """
    cured = parametrizations.copied(module, "icnr")
    example = _running.example_of(cured, example)
    generator = torch.Generator().manual_seed(checks.integer("icnr: seed", seed, minimum=0))
    with parametrizations.parametrized_norms(cured):
        for site in _sites.learned(cured, "icnr", example):
            for kernel in site.parameters():
                try:
                    _fill(kernel, generator)
                except (ValueError, RuntimeError) as error:  # the latter of a parametrization that cannot be set
                    raise ValueError(f"icnr: {site.name}: {error}") from None
    _sites.check_equal(cured, "icnr", example)
    return cured


def _fill(kernel: Parameter, generator: torch.Generator) -> None:
    dilation = max(getattr(kernel.owner, "dilation", (1,)))
    layout = Layout(kernel.kind, kernel.strides, kernel.groups, dilation)
    fill = icnr_transposed.fill if kernel.kind == "transposed" else icnr.fill
    drawn = torch.empty(kernel.elements.shape, dtype=getattr(kernel.owner, kernel.name).dtype)
    fill(drawn, layout, scale=max(kernel.strides), generator=generator)
    with torch.no_grad():
        _write(kernel.owner, kernel.name, kernel.elements, drawn)
        for bias in kernel.biases:
            values = getattr(bias.owner, bias.name).flatten()[bias.elements]
            _write(bias.owner, bias.name, bias.elements, values.mean(1, keepdim=True).expand_as(values))


def _write(owner: nn.Module, name: str, elements: Tensor, values: Tensor) -> None:
    """Set some elements of a parameter, through its parametrization where it has one."""
    tensor = getattr(owner, name).detach().clone()
    tensor.view(-1)[elements.flatten()] = values.to(tensor).flatten()
    if parametrize.is_parametrized(owner, name):
        setattr(owner, name, tensor)
    else:
        owner.get_parameter(name).copy_(tensor)
    _estimate_norm(owner, name)


def _estimate_norm(owner: nn.Module, name: str) -> None:
    """Let spectral normalization find the norm of the new weight, for which it needs some steps of training mode."""
    training = owner.training
    owner.train()
    for _ in range(POWER_STEPS):
        getattr(owner, name)
        for hook in owner._forward_pre_hooks.values():
            if isinstance(hook, SpectralNorm):
                hook(owner, ())
    owner.train(training)
