"""One-dimensional upsamplers on constants, and a small autoencoder on toy audio, after Pons."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn

from checkerscope.experiments.verdicts.contract import pick, seeded
from checkerscope.toolkit import catalog
from checkerscope.toolkit.networks.autoencoder import Autoencoder
from checkerscope.toolkit.training import loop
from checkerscope.toolkit.training.engine import Recipe

LENGTH = 256
#: Two stages of factor 4, as a third of Demucs.
SCALE, PERIOD = 4, 16


def signals(count: int, *, seed: int) -> Tensor:
    """Return toy audio, (N, 1, 256) in about [-1, 1]: two decaying sinusoids each, a quarter of it silent."""
    g = torch.Generator().manual_seed(seed)
    time = torch.arange(LENGTH, dtype=torch.float32)
    found = torch.zeros(count, 1, LENGTH)
    for _ in range(2):
        # up to a tenth of the sampling rate: what the bottleneck can carry
        frequency, phase = (torch.rand(count, 1, 1, generator=g) * scale for scale in (0.1, 2 * torch.pi))
        decay = torch.exp(-time / (50 + 200 * torch.rand(count, 1, 1, generator=g)))
        found += 0.4 * decay * torch.sin(2 * torch.pi * frequency * time + phase)
    start = torch.randint(LENGTH, (count,), generator=g)
    silent = (time - start[:, None, None]) % LENGTH < LENGTH // 4
    return found.masked_fill(silent, 0.0)


@functools.lru_cache(maxsize=64)
def trained(upsampler: str, seed: int, steps: int) -> nn.Module:
    """Return a network for toy audio after some steps; kernel 8 at stride 4 where it is a transposed convolution."""
    options = {"kernel_size": 8} if upsampler == "transposed_conv" else {}
    component = catalog.load("checkerscope.toolkit.upsamplers", upsampler)
    with seeded(seed):
        network = Autoencoder(
            lambda c_in, c_out: component(c_in, c_out, scale=SCALE, spatial_dims=1, **options),
            image_channels=1, width=8, latent_channels=16, scale=SCALE, downsampling="strided", spatial_dims=1,
        )  # fmt: skip
    if steps:
        loop.train(network, signals(512, seed=0), Recipe(steps, 16, 2e-3), seed=seed)
    return network.eval()


def plan(budget: str) -> tuple[int, int]:
    """Return steps and seeds."""
    return pick(budget, smoke=100, full=1500), pick(budget, smoke=2, full=5)
