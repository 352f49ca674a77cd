"""The toy images of the frequency-bias testbed, as released and mended, and a generator that fits them."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from checkerscope.experiments.verdicts.contract import pick, seeded
from checkerscope.toolkit import catalog

SIZE, IMAGES, LATENT, CHANNELS = 32, 10, 64, 16
#: Centres of the two rings as fractions of the corner frequency.
LOW, HIGH = (0.05, 0.15), (0.75, 0.85)
#: Three doublings from 4 x 4. A fixed upsampler is followed by a 3 x 3 convolution, as the learned ones contain one.
ARMS: dict[str, tuple[str, bool]] = {
    "bilinear": ("bilinear_conv", False),
    "nearest": ("nearest_conv", False),
    "zeros": ("zero_insertion", True),
    "shuffle": ("pixel_shuffle", False),
}


def ring(size: int, centre: float) -> Tensor:
    """Return a Gaussian ring of sigma one pixel in the spectrum, (size, size // 2 + 1), 1 at its crest."""
    rows, columns = torch.fft.fftfreq(size).double(), torch.fft.rfftfreq(size).double()
    radius = torch.hypot(rows[:, None], columns)
    return torch.exp(-((radius - centre * 0.5 * 2**0.5) ** 2) / (2 / size**2))


def waves(count: int, size: int, *, released_phases: bool, seed: int = 0) -> Tensor:
    """Return periodic images with two rings in their spectrum, (N, 1, size, size), float64.

    Args:
        count: Number of images.
        size: Side.
        released_phases: Recover the real part as magnitude / sqrt(1 + tan^2), which is never negative, so that phases
            lie within a quarter turn of zero; else phases are uniform over the whole turn.
        seed: Of phases and ring centres.
    """
    g = torch.Generator().manual_seed(seed)
    found = torch.zeros(count, 1, size, size, dtype=torch.float64)
    for low, high in (LOW, HIGH):
        for image in found:
            magnitude = ring(size, low + (high - low) * float(torch.rand(1, generator=g)))
            phase = 2 * torch.pi * torch.rand(magnitude.shape, generator=g, dtype=torch.float64)
            phase = torch.atan(torch.tan(phase)) if released_phases else phase
            image += torch.fft.irfft2(torch.polar(magnitude, phase))
    return found


def images(count: int) -> Tensor:
    """Return mended toy images, (N, 1, 32, 32), zero mean, standard deviation one half.

    Drawn at twice the size and cropped to the middle, as in the release.
    """
    found = waves(count, 2 * SIZE, released_phases=False)[..., SIZE // 2 : -SIZE // 2, SIZE // 2 : -SIZE // 2]
    found = found - found.mean((2, 3), keepdim=True)
    return (found / (2 * found.std((2, 3), keepdim=True))).float()


class Generator(nn.Module):
    """Latent vector, linear layer to 4 x 4, three upsamplers with leaky ReLU, 3 x 3 convolution."""

    def __init__(self, arm: str) -> None:
        super().__init__()
        name, convolve = ARMS[arm]
        upsampler: Any = catalog.load("checkerscope.toolkit.upsamplers", name)
        self.start = nn.Linear(LATENT, CHANNELS * 16)
        blocks: list[nn.Module] = []
        for _ in range(3):
            blocks.append(upsampler(CHANNELS, CHANNELS))
            blocks += [nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)] if convolve else []
            blocks.append(nn.LeakyReLU(0.2))
        self.body = nn.Sequential(*blocks, nn.Conv2d(CHANNELS, 1, 3, padding=1))

    def forward(self, latents: Tensor) -> Tensor:
        """Return images, (N, 1, 32, 32)."""
        output: Tensor = self.body(F.leaky_relu(self.start(latents), 0.2).reshape(-1, CHANNELS, 4, 4))
        return output


@functools.lru_cache(maxsize=64)
def fitted(arm: str, seed: int, steps: int) -> Tensor:
    """Return the images of a generator that was trained on ten mended toy images, each with its own latent."""
    target = images(IMAGES)
    with seeded(seed):
        generator, latents = Generator(arm), torch.randn(IMAGES, LATENT)
    optimizer = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.0, 0.99), fused=True)
    for _ in range(steps):
        loss = F.mse_loss(generator(latents), target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        output: Tensor = generator(latents)
    return output


def plan(budget: str) -> tuple[int, int]:
    """Return steps and seeds."""
    return pick(budget, smoke=80, full=1500), pick(budget, smoke=2, full=5)
