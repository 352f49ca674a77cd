"""Measures trained networks. What a measured number depends on is imported from here.

The stamp of a measure's code follows these imports: what only keeps, counts or reports belongs elsewhere.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from checkerscope.analysis.trial import Trial
from checkerscope.experiments.study.build import Examples
from checkerscope.experiments.study.spec import RunSpec
from checkerscope.toolkit import catalog
from checkerscope.toolkit.training.devices import matmul_precision


@contextlib.contextmanager
def trial(spec: RunSpec, network: nn.Module, held_out: Examples, *, margin: int) -> Iterator[Trial]:
    """Give what the measures may see of one trained network, in float32 whatever it was trained in.

    Logits are shown as class probabilities.
    """
    with matmul_precision("float32"):
        network.to(torch.float32).eval()
        with torch.no_grad():
            outputs = torch.cat([network(batch) for batch in held_out.inputs.split(16)])
        if spec.train.loss == "cross_entropy":
            outputs = outputs.softmax(1)
        period: Any = network.period
        context = needs_context(spec)
        yield Trial(network, held_out.targets, outputs, spec.scale, period, margin, context, held_out.inputs)


def needs_context(spec: RunSpec) -> bool:
    """Return whether the run's upsampler sees what the encoder saw; such arms are tabled apart."""
    return bool(catalog.describe_one("checkerscope.toolkit.upsamplers", spec.upsampler.name).flags.get("needs_context"))


def take(name: str, trial: Trial) -> dict[str, np.ndarray | float | None]:
    """Return what one measure finds, and leave everything that it was shown as it was.

    Raises:
        ValueError: If it changed any of that, which the next measure would have been shown.
    """
    shown = (trial.target, trial.reconstruction, trial.inputs, *trial.model.state_dict().values())
    kept = [tensor.detach().clone() for tensor in shown]
    try:
        return plain(catalog.load("checkerscope.analysis.measures", name).measure(trial))
    finally:
        changed = [
            (now, then) for now, then in zip(shown, kept, strict=True) if not torch.equal(_bytes(now), _bytes(then))
        ]
        with torch.no_grad():
            for now, then in changed:
                now.copy_(then)
        if changed:
            raise ValueError(f"{name}: expected images and model as they were, got a change; let it work on copies")


def _bytes(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor's bytes: NaN equals itself here."""
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)


def plain(result: dict[str, Any]) -> dict[str, np.ndarray | float | None]:
    """Return what a measure found as it is stored: arrays of bytes or float32, finite numbers or nothing."""
    plain: dict[str, np.ndarray | float | None] = {}
    for key, value in result.items():
        if isinstance(value, np.ndarray):
            plain[key] = value if value.dtype == np.uint8 else value.astype(np.float32)
        else:
            number = float(value)
            plain[key] = number if math.isfinite(number) else None
    return plain
