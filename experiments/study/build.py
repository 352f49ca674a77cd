"""Builds the images and the network of a run from its spec."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from checkerscope.experiments.study.spec import RunSpec
from checkerscope.toolkit import catalog
from checkerscope.toolkit.contracts import remedy
from checkerscope.toolkit.contracts.initializer import initialize
from checkerscope.toolkit.contracts.upsampler import Upsampler


@dataclass(frozen=True)
class Examples:
    """Images and what a network should make of them; the same tensor where it should reconstruct them."""

    inputs: Tensor
    targets: Tensor

    def to(self, device: torch.device) -> Examples:
        """Return the data on a device."""
        inputs = self.inputs.to(device)
        return Examples(inputs, inputs if self.targets is self.inputs else self.targets.to(device))

    @property
    def other_targets(self) -> Tensor | None:
        """The targets, or None where they are the inputs themselves."""
        return None if self.targets is self.inputs else self.targets

    def first(self, count: int) -> Examples:
        """Return the first images."""
        inputs = self.inputs[:count]
        return Examples(inputs, inputs if self.targets is self.inputs else self.targets[:count])


def fingerprint(spec: RunSpec) -> str:
    """Return a digest of the pixels, or of the user's files, that a run's images are made of, of both splits."""
    return _fingerprint(spec.images.source.name, json.dumps(spec.images.source.options, sort_keys=True))


@functools.lru_cache(maxsize=4)
def _fingerprint(name: str, options: str) -> str:
    source = catalog.load("checkerscope.toolkit.images", name)
    where = [json.loads(options).get(source.NEEDS, "")] if hasattr(source, "NEEDS") else []
    if not hasattr(source, "fingerprint"):
        raise ValueError(f"images: {name}: expected a function fingerprint() of its pixels, got none; define it")
    return str(source.fingerprint(*where))


def data(spec: RunSpec, split: str) -> Examples:
    """Return the data of one split; a worker process keeps the last few, since its runs share them.

    Raises:
        ValueError: If the source says so, or its files change while they are read.
    """
    options = json.dumps(spec.images.source.options, sort_keys=True)
    classes = spec.train.loss == "cross_entropy"
    return _data(spec.images.source.name, options, spec.images.size, spec.images.seed, split, classes)


@functools.lru_cache(maxsize=4)
def _data(name: str, options: str, size: int, seed: int, split: str, classes: bool) -> Examples:
    source, own, before = (
        catalog.load("checkerscope.toolkit.images", name),
        json.loads(options),
        _fingerprint(name, options),
    )
    inputs = source.load(split, size, seed=seed, **own)
    if hasattr(source, "NEEDS") and before != _fingerprint.__wrapped__(name, options):
        raise ValueError(f"images: {name}: expected files that stay as they are, got changes while they were read")
    if not classes:
        return Examples(inputs, inputs)
    one_hot = F.one_hot(source.labels(split, size, seed=seed, **own), source.CLASSES).movedim(-1, 1)
    return Examples(inputs, one_hot.to(inputs.dtype).contiguous())


def model(spec: RunSpec, sample: Examples) -> nn.Module:
    """Return the untrained network of a run for data like `sample`; the same spec gives the same weights.

    Constructors draw from torch's global generator, which is forked and seeded here; the initialization then fills
    the upsamplers' kernels from a generator of its own.
    """
    channels = {"image_channels": sample.inputs.shape[1]}
    if sample.targets is not sample.inputs:
        channels["out_channels"] = sample.targets.shape[1]
    class_ = catalog.load("checkerscope.toolkit.networks", spec.network.name)
    catalog.load(
        "checkerscope.toolkit.upsamplers", spec.upsampler.name
    )  # here: an import may draw numbers, or set the seed
    with torch.random.fork_rng(devices=()):  # networks are built on the CPU: no need to wake a GPU
        torch.default_generator.manual_seed(spec.seed)
        network = class_(functools.partial(_upsampler, spec), **channels, scale=spec.scale, **spec.network.options)
    generator = torch.Generator().manual_seed(spec.seed)
    for upsampler in network.upsamplers:
        initialize(upsampler, spec.initializer.name, generator=generator, options=spec.initializer.options)
    return network


def cured(spec: RunSpec, trained: nn.Module, shown: Examples, *, fit: bool = True) -> nn.Module:
    """Return a trained network of a run with its remedy applied, ready for the fine-tune where one follows.

    Without `fit` only the structure is that of the cured network: weights that are kept fit into it.
    """
    if spec.cure is None:
        return trained
    chosen = {"name": spec.cure.name, **spec.cure.options}
    apply = remedy.applied if fit else remedy.structure
    return apply(trained, chosen, inputs=shown.inputs, targets=shown.targets, fine_tuned=spec.cure.finetune > 0)


def architecture(spec: RunSpec, sample: Examples) -> nn.Module:
    """Return a network into which the run's weights fit; what a remedy changes of it does not hang on weights."""
    return cured(spec, model(spec, sample), sample, fit=False)


def _upsampler(spec: RunSpec, in_channels: int, out_channels: int) -> Upsampler:
    cls: type[Upsampler] = catalog.load("checkerscope.toolkit.upsamplers", spec.upsampler.name)
    options: dict[str, Any] = dict(spec.upsampler.options)
    return cls(in_channels, out_channels, scale=spec.scale, **options)
