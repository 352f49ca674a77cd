"""The study's autoencoder at the size of a claim: 32 x 32 photographs, two stages of factor 2, one thread."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from checkerscope.analysis.measures import reconstruction, tone
from checkerscope.analysis.trial import Trial
from checkerscope.experiments.verdicts.contract import pick, seeded
from checkerscope.toolkit import catalog
from checkerscope.toolkit.contracts.initializer import initialize
from checkerscope.toolkit.contracts.upsampler import Upsampler
from checkerscope.toolkit.images import photos
from checkerscope.toolkit.networks.autoencoder import Autoencoder
from checkerscope.toolkit.training import loop
from checkerscope.toolkit.training.engine import Recipe

SIZE = 32
#: Border that padding may reach in this network, in pixels; held-out photographs are larger for it.
MARGIN = 16


@dataclass(frozen=True)
class Arm:
    """An autoencoder of a claim.

    Attributes:
        upsampler: Name in the catalogue.
        options: Its options as (name, value) pairs, so that an arm can be a key.
        initializer: Name in the catalogue.
        final_conv: Whether a 3 x 3 convolution follows the last upsampler.
        width: Channels of the first stage.
        last: Name of another upsampler for the last stage, with its own defaults; empty for the same.
    """

    upsampler: str
    options: tuple[tuple[str, Any], ...] = ()
    initializer: str = "default"
    final_conv: bool = True
    width: int = 8
    last: str = ""


def transposed(kernel_size: int, **choices: Any) -> Arm:
    """Return the arm of a transposed convolution."""
    return Arm("transposed_conv", (("kernel_size", kernel_size),), **choices)


@functools.lru_cache(maxsize=2)
def images(split: str) -> Tensor:
    """Return photographs: (N, 3, 32, 32) to train on, 64 of (3, 64, 64) to test on."""
    if split == "train":
        return photos.load(split, SIZE, seed=0, stride=SIZE // 2)
    return photos.load(split, 2 * SIZE, seed=0, images=64)


def build(arm: Arm, seed: int) -> Autoencoder:
    """Return the untrained network of an arm."""
    with seeded(seed):
        network = Autoencoder(
            functools.partial(_upsampler, arm),
            width=arm.width,
            latent_channels=arm.width,
            final_conv=arm.final_conv,
        )
    generator = torch.Generator().manual_seed(seed)
    for layer in network.upsamplers:
        initialize(cast(Upsampler, layer), arm.initializer, generator=generator)
    return network


def _upsampler(arm: Arm, in_channels: int, out_channels: int) -> Upsampler:
    # the last of two stages is the one that gives the first stage's channels, or the image
    is_last = arm.last and out_channels <= arm.width
    name, options = (arm.last, {}) if is_last else (arm.upsampler, dict(arm.options))
    upsampler: type[Upsampler] = catalog.load("checkerscope.toolkit.upsamplers", name)
    return upsampler(in_channels, out_channels, **options)


@functools.lru_cache(maxsize=256)  # claims in one process share the networks that they have in common
def trained(arm: Arm, seed: int, steps: int) -> Autoencoder:
    """Return the network of an arm after some steps of Adam on photographs, in evaluation mode.

    Raises:
        ValueError: If training diverged.
    """
    return fit(build(arm, seed), seed, steps)


def fit(network: Autoencoder, seed: int, steps: int) -> Autoencoder:
    """Train a network on photographs, return it in evaluation mode.

    Raises:
        ValueError: If training diverged.
    """
    outcome = loop.train(network, images("train"), Recipe(steps, 16, 2e-3), seed=seed)
    if outcome.status != "done":
        raise ValueError(f"autoencoder: expected training to end, got {outcome.status} at step {outcome.step}")
    return network.eval()


def trial(network: nn.Module, target: Tensor | None = None) -> Trial:
    """Return what a measure may see of a network, on 64 held-out photographs by default."""
    shown = images("test") if target is None else target
    with torch.no_grad():
        output = network.eval()(shown)
    return Trial(network, shown, output, scale=2, period=4, margin=MARGIN)


def reconstructed(arm: Arm, seed: int, steps: int, shown: Tensor) -> Tensor:
    """Return what a trained network makes of images."""
    network = trained(arm, seed, steps)
    with torch.no_grad():
        output: Tensor = network(shown)
    return output


@functools.lru_cache(maxsize=256)
def scores(arm: Arm, seed: int, steps: int) -> dict[str, float]:
    """Return tone (image units) and PSNR (dB) of an arm after some steps; 0 steps is the start."""
    return judged(trained(arm, seed, steps) if steps else build(arm, seed))


def judged(network: nn.Module) -> dict[str, float]:
    """Return tone (image units) and PSNR (dB) of a network."""
    seen = trial(network)
    return {**tone.measure(seen), "psnr": reconstruction.reconstruction(seen.reconstruction, seen.target)["psnr"]}


def setting(steps: int, seeds: int) -> str:
    """Return the sentence that states the setting of a claim."""
    return (
        f"Autoencoder of two stages and 8 channels on 32 x 32 photographs, {steps} steps of Adam, {seeds} seeds,"
        " tested on other photographs."
    )


def column(arm: Arm, key: str, *, steps: int, seeds: int) -> list[float]:
    """Return one score over seeds."""
    return [scores(arm, seed, steps)[key] for seed in range(seeds)]


def plan(budget: str) -> tuple[int, int]:
    """Return steps and seeds of a budget."""
    return pick(budget, smoke=60, full=400), pick(budget, smoke=2, full=5)
