"""From a run's spec to living objects: images, model, recipe, trial. Imports torch; the command line does so late."""

from __future__ import annotations

import functools
import json
from typing import Any

import torch
from torch import Tensor, nn

from analysis.trial import Trial
from experiments.config import Images, RunSpec
from toolkit import catalog
from toolkit.initializer import initialize
from toolkit.training.engine import Recipe
from toolkit.upsampler import Upsampler


def images(spec: Images, split: str) -> Tensor:
    """Return the images of one split; a worker process keeps the last few, since its runs share them."""
    return _images(spec.source.name, json.dumps(spec.source.options, sort_keys=True), spec.size, spec.seed, split)


@functools.lru_cache(maxsize=4)
def _images(source: str, options: str, size: int, seed: int, split: str) -> Tensor:
    return catalog.load("toolkit.images", source).load(split, size, seed=seed, **json.loads(options))


def model(spec: RunSpec, channels: int) -> nn.Module:
    """Return the untrained network of a run; the same spec gives the same weights.

    Constructors draw from torch's global generator, which is forked and seeded here; the initialization then fills
    the upsamplers' kernels from a generator of its own.
    """
    with torch.random.fork_rng():
        torch.manual_seed(spec.seed)
        network = catalog.load("toolkit.networks", spec.network.name)(
            functools.partial(_upsampler, spec), image_channels=channels, scale=spec.scale, **spec.network.options
        )
    generator = torch.Generator().manual_seed(spec.seed)
    for upsampler in network.upsamplers:
        initialize(upsampler, spec.initializer.name, generator=generator, options=spec.initializer.options)
    return network


def _upsampler(spec: RunSpec, in_channels: int, out_channels: int) -> Upsampler:
    cls: type[Upsampler] = catalog.load("toolkit.upsamplers", spec.upsampler.name)
    options: dict[str, Any] = dict(spec.upsampler.options)
    return cls(in_channels, out_channels, scale=spec.scale, **options)


def recipe(spec: RunSpec) -> Recipe:
    """Return how the run is trained."""
    train = spec.train
    return Recipe(
        steps=train.steps,
        batch_size=train.batch_size,
        learning_rate=train.learning_rate,
        loss=train.loss,
        precision=train.precision,
    )


def needs_context(spec: RunSpec) -> bool:
    """Return whether the run's upsampler sees what the encoder saw; such arms are tabled apart."""
    return bool(catalog.describe_one("toolkit.upsamplers", spec.upsampler.name).flags.get("needs_context"))


def trial(network: nn.Module, target: Tensor, spec: RunSpec, *, margin: int) -> Trial:
    """Return what the measures may see of one trained network."""
    network.eval()
    with torch.no_grad():
        reconstruction = torch.cat([network(batch) for batch in target.split(16)])
    period: Any = network.period
    return Trial(network, target, reconstruction, spec.scale, period, margin, needs_context(spec))


def cost(network: nn.Module, target: Tensor) -> dict[str, int]:
    """Return parameters, multiply-accumulates of one image's forward pass as torch counts them, and period."""
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network.eval()(target[:1])
    parameters = sum(p.numel() for p in network.parameters())
    period: Any = network.period
    return {"parameters": parameters, "macs": counter.get_total_flops() // 2, "period": period}


def vet(spec: RunSpec, arm: str) -> None:
    """Build one arm and check that an image comes out as large as it went in.

    Raises:
        ValueError: Naming the arm, with what its components complain about.
    """
    try:
        sample = images(spec.images, "train")[:1]
        with torch.no_grad():
            output = model(spec, sample.shape[1]).eval()(sample)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ValueError(f"{arm}: {error}") from None
    if output.shape != sample.shape:
        raise ValueError(f"{arm}: expected an output of shape {tuple(sample.shape)}, got {tuple(output.shape)}")
