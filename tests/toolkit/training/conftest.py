"""Small models and images for the tests of training."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from checkerscope.toolkit import catalog
from checkerscope.toolkit.networks.autoencoder import Autoencoder

Build = Callable[..., nn.Module]


@pytest.fixture
def build() -> Build:
    """Build an autoencoder of 4 channels from the name of its upsampler, a seed and the upsampler's options."""

    def model(name: str, seed: int = 0, **options: Any) -> nn.Module:
        torch.manual_seed(seed)
        upsampler = functools.partial(catalog.load("checkerscope.toolkit.upsamplers", name), **options)
        return Autoencoder(upsampler, width=4, latent_channels=4)

    return model


@pytest.fixture
def images() -> Tensor:
    """Twelve images of 16 x 16."""
    return torch.rand(12, 3, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
