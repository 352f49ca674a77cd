"""What tests build: an upsampler with fixed weights, noise for it, and the context that an encoder would hand to it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from checkerscope.toolkit import catalog
from checkerscope.toolkit.contracts.upsampler import Context, Upsampler

UPSAMPLERS = "checkerscope.toolkit.upsamplers"
_POOLS = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}


def build(name: str, c_in: int = 2, c_out: int = 2, *, seed: int = 0, **options: object) -> Upsampler:
    """Return an upsampler of the catalogue in float64, with the weights that its seed gives."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return catalog.load(UPSAMPLERS, name)(c_in, c_out, **options).double()


def noise(*shape: int, seed: int = 1) -> Tensor:
    """Return white Gaussian noise in float64, from another seed than the weights of `build`."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def enlarged_noise(layer: Upsampler, x: Tensor, *, seed: int = 9) -> Tensor:
    """Return noise of the layer's output shape for input `x`, in the dtype of `x`."""
    sides = (layer.scale * side for side in x.shape[2:])
    return noise(x.shape[0], layer.out_channels, *sides, seed=seed).to(x.dtype)


def context_of(layer: Upsampler, features: Tensor) -> Context | None:
    """Return what an encoder with these features hands to the layer: them and the indices of their max pooling."""
    if not layer.needs_context:
        return None
    return Context(_POOLS[layer.spatial_dims](features, layer.scale, return_indices=True)[1], features)


def context_for(layer: Upsampler, x: Tensor) -> Context | None:
    """Return a context of noise that fits the layer's output for input `x`."""
    return context_of(layer, enlarged_noise(layer, x))


def close(got: Tensor, expected: Tensor, atol: float = 1e-12) -> None:
    """Check that two tensors agree to an absolute error alone."""
    torch.testing.assert_close(got, expected, rtol=0, atol=atol)
